"""Kopf as informer: every event goes into the view, and the owner's key into the queue.

Only low-level handlers are used. They write nothing to anybody's object, need no finalizer and are
level-triggered by construction. The `index` handlers store what was listed before any `event`
handler runs (Kopf waits for all lists when any index exists), so a restarted operator knows every
child before it decides about the first job, and writes nothing. From the first `event` on they have
done their part, and every further event would cost both.
"""

from collections.abc import Callable
from typing import Any

import kopf

from flagscale_api import keys
from flagscale_operator.controller.queue import KeyedQueue
from flagscale_operator.controller.view import ClusterView
from flagscale_operator.kube.kinds import KubeKind

OnEvent = Callable[[str, str], None]
SELECTOR = f"{keys.MANAGED_BY_LABEL}={keys.MANAGED_BY},{keys.OWNER_UID_LABEL}"


class Watch:
    """Handlers of all watched kinds, registered on one registry."""

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
        self._listed = False
        for kind in view.kinds():
            self._register(registry, kind)

    def _register(self, registry: kopf.OperatorRegistry, kind: KubeKind) -> None:
        selector = (kind.group, kind.version, kind.plural)
        name = kind.plural

        async def index(*, body: kopf.Body, **_: Any) -> None:
            self._view.keep(kind, body)

        async def event(*, event: kopf.RawEvent, **_: Any) -> None:
            self._handle(kind, dict(event))

        kopf.index(*selector, id=f"index-{name}", registry=registry, when=self._is_listing)(index)
        kopf.on.event(*selector, id=f"event-{name}", registry=registry)(event)

    def _is_listing(self, **_: Any) -> bool:
        return not self._listed

    def _handle(self, kind: KubeKind, event: dict[str, Any]) -> None:
        self._listed = True
        body, type_ = event["object"], event.get("type") or "LISTED"
        self._on_event(kind.kind, type_)
        if type_ == "DELETED":
            self._view.drop(kind, body)
        else:
            self._view.keep(kind, body)
        for key in self._view.woken_by(kind, body):
            self._queue.add(key)
