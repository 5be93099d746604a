"""The engine processes behind one gateway: each kept in its slot until the service stops."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from flagscale_api.runtime.serve import ServeConfig
from flagscale_workloads.backends.adapter import BackendAdapter, Placement
from flagscale_workloads.backends.stored import stored_dtype
from flagscale_workloads.backends.versions import installed_version
from flagscale_workloads.serve.first_token import (
    FirstTokenError,
    await_health,
    generate_one,
    probe_request,
)
from flagscale_workloads.serve.http.upstream import UpstreamError
from flagscale_workloads.serve.last_words import last_words
from flagscale_workloads.serve.processes import (
    EngineExitedError,
    EngineProcess,
    RestartBudget,
    free_port,
)
from flagscale_workloads.serve.replicas import Replica, ReplicaSet
from flagscale_workloads.serve.scratch import engine_folder, temporary_root

_log = logging.getLogger(__name__)
TELL_INTERVAL_S: Final = 5.0
BACKOFF_S: Final = 1.0


@dataclass(slots=True)
class Deployment:
    """Starts `config.processes.count` engines and restarts each within its budget."""

    config: ServeConfig
    adapter: BackendAdapter
    device: Literal["cpu", "cuda"]
    python: Path
    environ: Mapping[str, str]
    replicas: ReplicaSet
    now: Callable[[], float]
    starting: set[Replica] = field(default_factory=set)
    """Not yet in `replicas`: they have not generated a token."""
    deployed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once every slot has had a ready engine."""
    _ready_slots: set[int] = field(default_factory=set)

    async def run(self) -> None:
        """Keep all engines until cancelled. Raises EngineExitedError when a budget is spent."""
        async with asyncio.TaskGroup() as group:
            for slot in range(self.config.processes.count):
                group.create_task(self._keep(slot))

    async def _keep(self, slot: int) -> None:
        budget = RestartBudget(self.config.processes.restarts, self.now)
        while True:
            why = await self._run_once(slot)
            name = self._name(slot)
            if not budget.spend():
                limit = self.config.processes.restarts
                msg = f"{name}: {why}\nprocesses.restarts: spent, got {limit} in ten minutes"
                raise EngineExitedError(f"{msg}; correct the model or the engine's settings")
            _log.warning("%s: %s\n%s: restarting", name, why, name)
            await asyncio.sleep(BACKOFF_S)

    def _name(self, slot: int) -> str:
        return f"{self.adapter.name}-{slot}"

    async def _run_once(self, slot: int) -> str:
        """One life of an engine; why it ended."""
        with engine_folder(temporary_root(self.environ)) as folder:
            return await self._run_in(folder, slot)

    async def _run_in(self, folder: Path, slot: int) -> str:
        placement = Placement(
            model=Path(self.config.model.path),
            served_name=self.config.model.name,
            port=free_port("127.0.0.1"),
            device=self.device,
            python=self.python,
            engine_version=installed_version(self.python, *self.adapter.distributions),
            stored_dtype=stored_dtype(Path(self.config.model.path)),
        )
        launch = self.adapter.launch(self.config.engine, placement)
        name = self._name(slot)
        for patch in launch.patches:
            _log.warning("%s: %s", name, patch)
        engine = await EngineProcess.start(
            launch,
            environ=self.environ,
            folder=folder,
            on_line=lambda line: _log.debug("%s| %s", name, line),
        )
        replica = Replica.at(name, placement.host, placement.port)
        try:
            return await self._live(slot, engine, replica)
        finally:
            self.starting.discard(replica)
            if self.replicas.get(name) is replica:
                self.replicas.remove(name)
            replica.pool.give_up_unanswered("its engine ended")
            await asyncio.shield(engine.stop(grace_s=self.adapter.stop_grace_s))

    async def _live(self, slot: int, engine: EngineProcess, replica: Replica) -> str:
        ended = asyncio.create_task(engine.ended())
        loading = asyncio.create_task(self._load(engine, replica))
        try:
            await asyncio.wait({ended, loading}, return_when=asyncio.FIRST_COMPLETED)
            if not loading.done():
                return await ended
            if trouble := loading.result():
                return trouble
            replica.ready = True
            self.replicas.add(replica)
            self.starting.discard(replica)
            self._ready_slots.add(slot)
            if len(self._ready_slots) == self.config.processes.count:
                self.deployed.set()
            return await ended
        finally:
            for task in (ended, loading):
                task.cancel()

    async def _load(self, engine: EngineProcess, replica: Replica) -> str | None:
        """Wait for a first token; what went wrong, or None."""
        self.starting.add(replica)
        timeout_s = self.config.processes.start_timeout_seconds
        name, started_at = replica.name, self.now()
        teller = asyncio.create_task(self._tell(engine, name, started_at))
        probe = probe_request(self.config.model.name, self.adapter.capabilities)
        try:
            async with asyncio.timeout(timeout_s):
                await await_health(replica, self.adapter.health_path)
                healthy_at = self.now()
                await generate_one(replica, probe, timeout_s=timeout_s)
        except TimeoutError:
            last = last_words(engine.output.tail)
            return f"engine: no token within {timeout_s:g} s; its last lines:\n{last}"
        except (FirstTokenError, UpstreamError) as error:
            return str(error)
        finally:
            teller.cancel()
            with suppress(asyncio.CancelledError):
                await teller
        times = (self.now() - started_at, self.now() - healthy_at)
        _log.info("%s: ready after %.1f s, of which its first token took %.1f s", name, *times)
        return None

    async def _tell(self, engine: EngineProcess, name: str, started_at: float) -> None:
        while True:
            await asyncio.sleep(TELL_INTERVAL_S)
            last = engine.output.newest or "nothing said yet"
            _log.info("%s: loading, %.0f s: %.160s", name, self.now() - started_at, last)
