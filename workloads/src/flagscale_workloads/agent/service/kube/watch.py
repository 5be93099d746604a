"""List, then watch: a collection followed over lost connections and expired versions."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from flagscale_workloads.agent.service.kube.api import Body, KubeApi, KubeError

_log = logging.getLogger(__name__)
FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 10.0
GONE: Final = 410


class Sink(Protocol):
    """What takes the objects."""

    def replace(self, objects: Sequence[Body]) -> None:
        """These are all there are now."""

    def put(self, body: Body) -> None:
        """One came or changed."""

    def remove(self, body: Body) -> None:
        """One is gone."""


class Watch:
    """Keeps a sink equal to a collection. What it has stays while the API server is away."""

    def __init__(
        self, api: KubeApi, path: str, sink: Sink, *, on_restart: Callable[[], None]
    ) -> None:
        self._api = api
        self._path = path
        self._sink = sink
        self._on_restart = on_restart
        self._version = ""
        self.listed = asyncio.Event()
        """Set once the sink has seen a whole list."""

    async def run(self) -> None:
        """Until cancelled."""
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                if not self._version:
                    await self._list()
                await self._follow()
                pause_s = FIRST_PAUSE_S
            except KubeError as error:
                self._on_restart()
                if error.status == GONE:
                    self._version = ""
                _log.warning("watch: %s; again in %.1f s", error, pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _list(self) -> None:
        objects, version = await self._api.list(self._path)
        self._sink.replace(objects)
        self._version = version
        self.listed.set()
        _log.info("watch: %d objects at version %s", len(objects), version)

    async def _follow(self) -> None:
        async for event in self._api.watch(self._path, self._version):
            kind, body = event.get("type"), event.get("object") or {}
            if kind == "ERROR":
                raise KubeError(int(body.get("code") or 0), str(body.get("message")))
            if kind in {"ADDED", "MODIFIED"}:
                self._sink.put(body)
            elif kind == "DELETED":
                self._sink.remove(body)
            self._version = str(body["metadata"]["resourceVersion"])
