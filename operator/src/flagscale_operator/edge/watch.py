"""Kopf as informer: every event goes into the view, and the owner's key into the queue.

Only low-level handlers are used. They write nothing to anybody's object, need no finalizer and are
level-triggered by construction. The `index` handlers store what was listed before any `event`
handler runs (Kopf waits for all lists when any index exists), so a restarted operator knows every
child before it decides about the first job, and writes nothing.
"""

from collections.abc import Callable
from typing import Any

import kopf

from flagscale_api import keys
from flagscale_operator.controller.queue import Key, KeyedQueue
from flagscale_operator.controller.store import ClusterView, ObjectStore
from flagscale_operator.kube.kinds import POD, PYTORCH_JOB, TRAIN_JOB, KubeKind

OnEvent = Callable[[str, str], None]
SELECTOR = f"{keys.MANAGED_BY_LABEL}={keys.MANAGED_BY},{keys.TRAIN_JOB_LABEL}"


class Watch:
    """Handlers of the three watched kinds, registered on one registry."""

    def __init__(
        self,
        *,
        registry: kopf.OperatorRegistry,
        view: ClusterView,
        queue: KeyedQueue,
        on_event: OnEvent,
    ) -> None:
        self._view = view
        self._queue = queue
        self._on_event = on_event
        for kind, store in (
            (TRAIN_JOB, view.train_jobs),
            (PYTORCH_JOB, view.children),
            (POD, view.pods),
        ):
            self._register(registry, kind, store)

    def _register(
        self, registry: kopf.OperatorRegistry, kind: KubeKind, store: ObjectStore
    ) -> None:
        selector = (kind.group, kind.version, kind.plural)
        name = kind.plural

        async def index(*, body: kopf.Body, **_: Any) -> None:
            store.upsert(body)

        async def event(*, event: kopf.RawEvent, **_: Any) -> None:
            self._handle(kind, store, dict(event))

        kopf.index(*selector, id=f"index-{name}", registry=registry)(index)
        kopf.on.event(*selector, id=f"event-{name}", registry=registry)(event)

    def _handle(self, kind: KubeKind, store: ObjectStore, event: dict[str, Any]) -> None:
        body, type_ = event["object"], event.get("type") or "LISTED"
        self._on_event(kind.kind, type_)
        if type_ == "DELETED":
            store.remove(body)
            if kind is POD and not _ended(body):
                self._view.gone_pods.upsert(body)
        else:
            store.upsert(body)
        owner = (
            (body["metadata"].get("namespace", ""), body["metadata"]["name"])
            if kind is TRAIN_JOB
            else store.owner_of(body)
        )
        if owner:
            self._queue.add(Key(TRAIN_JOB.kind, *owner))


def _ended(body: dict[str, Any]) -> bool:
    return (body.get("status") or {}).get("phase") in ("Succeeded", "Failed")
