"""Kopf's settings and start: everything that it must not do is switched off here."""

import asyncio
from collections.abc import Callable
from typing import Any

import kopf

from flagscale_api import keys
from flagscale_operator.controller.view import SERVING_CHILDREN
from flagscale_operator.edge.relisting import watched
from flagscale_operator.edge.watch import SELECTOR
from flagscale_operator.kube.kinds import POD, PYTORCH_JOB
from flagscale_operator.settings import Settings


class NoDiffBase(kopf.DiffBaseStorage):
    """Remembers nothing: we compare desired with observed, never old with new.

    Saves two deep copies per event (0.3 ms each for a PyTorchJob).
    """

    def build(self, *, body: kopf.Body, extra_fields: object = None) -> kopf.BodyEssence:
        """An empty essence, so nothing ever differs."""
        return kopf.BodyEssence({})

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        """Nothing was stored."""
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Write nothing."""


def informer_settings() -> kopf.OperatorSettings:
    """Server-side selectors and paging; no Events, no annotations, no peering."""
    settings = kopf.OperatorSettings()
    settings.peering.standalone = True
    settings.posting.enabled = False
    settings.scanning.disabled = False
    settings.persistence.finalizer = f"{keys.GROUP}/unused"
    settings.persistence.diffbase_storage = NoDiffBase()
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=keys.GROUP)
    settings.networking.request_timeout = 30
    settings.watching.chunk_size = 500
    # In a shared cluster only our own pods and children may cost anything.
    for kind in (POD, PYTORCH_JOB, *SERVING_CHILDREN):
        settings.watching.label_selectors[kind.group, kind.version, kind.plural] = SELECTOR
    return settings


async def run_informer(
    *,
    registry: kopf.OperatorRegistry,
    settings: Settings,
    login: Callable[[], kopf.ConnectionInfo],
    ready: asyncio.Event,
    stop: asyncio.Event,
) -> None:
    """Watch until `stop`; `ready` is set once every kind was listed.

    Raises:
        WatchedKindGoneError: a kind was taken away in mid-watch.
    """

    async def connect(**_: Any) -> kopf.ConnectionInfo:
        return login()

    kopf.on.login(registry=registry)(connect)
    informer = kopf.operator(
        registry=registry,
        settings=informer_settings(),
        clusterwide=not settings.watch_namespaces,
        namespaces=settings.watch_namespaces,
        standalone=True,
        # Kopf would ask for the user's name, which an arbitrary uid in a container has none of.
        identity=settings.pod_name,  # type: ignore[arg-type]
        ready_flag=ready,
        stop_flag=stop,
    )
    await watched(informer)
