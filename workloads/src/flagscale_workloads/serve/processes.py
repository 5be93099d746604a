"""Engine processes: started, watched until a token comes, restarted within a budget, ended."""

import asyncio
import logging
import os
import signal
import socket
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from flagscale_workloads.backends.adapter import Launch
from flagscale_workloads.serve.engine_output import EngineOutput
from flagscale_workloads.serve.guard import guarded
from flagscale_workloads.serve.last_words import last_words
from flagscale_workloads.serve.scratch import folder_variables

_log = logging.getLogger(__name__)
BUDGET_WINDOW_S: Final = 600.0
READ_BYTES: Final = 1 << 16
# Variables that would make an engine reach out or run foreign code stay out of its environment.
KEPT_ENVIRONMENT: Final = (
    "PATH", "HOME", "LANG", "LC_ALL", "USER", "LD_LIBRARY_PATH", "LD_PRELOAD",
    "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "HF_HOME",
    "XDG_CACHE_HOME", "VIRTUAL_ENV", "PYTHONPATH",
)  # fmt: skip


class EngineExitedError(Exception):
    """An engine ended by itself; the message has its exit code and last lines."""


def free_port(host: str) -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def engine_environment(environ: Mapping[str, str], launch: Launch, folder: Path) -> dict[str, str]:
    """What an engine process gets: little of ours, a folder, and what its adapter asks for."""
    kept = {name: environ[name] for name in KEPT_ENVIRONMENT if name in environ}
    own = folder_variables(folder, environ)
    return launch.child_environment(kept | own | {"PYTHONUNBUFFERED": "1"})


@dataclass(slots=True)
class EngineProcess:
    """One running engine and the end of its log."""

    process: asyncio.subprocess.Process
    output: EngineOutput = field(default_factory=EngineOutput)
    _reader: asyncio.Task[None] | None = None

    @classmethod
    async def start(
        cls,
        launch: Launch,
        *,
        environ: Mapping[str, str],
        folder: Path,
        on_line: Callable[[str], None],
    ) -> "EngineProcess":
        """Start it in a process group of its own, so that its children end with it, or with us.

        `folder` is for its temporary files; see `scratch`.
        """
        process = await asyncio.create_subprocess_exec(
            *guarded(launch.command),
            env=engine_environment(environ, launch, folder),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        engine = cls(process)
        engine._reader = asyncio.create_task(engine._read(on_line))
        return engine

    async def _read(self, on_line: Callable[[str], None]) -> None:
        stream = self.process.stdout
        assert stream is not None  # noqa: S101 - asked for above
        while data := await stream.read(READ_BYTES):
            for line in self.output.feed(data):
                on_line(line)
        for line in self.output.close():
            on_line(line)

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.process.returncode is None

    async def ended(self) -> str:
        """Wait for its end; one sentence about it with the last lines of its log."""
        code = await self.process.wait()
        self._signal(signal.SIGKILL)  # children that outlived it
        if self._reader:
            await asyncio.wait({self._reader}, timeout=1.0)
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return f"engine: ended with {how}; its last lines:\n{last_words(self.output.tail)}"

    async def stop(self, *, grace_s: float) -> None:
        """SIGTERM, and SIGKILL for the whole group after the grace."""
        if self.running:
            self.process.terminate()
            try:
                async with asyncio.timeout(grace_s):
                    await self.process.wait()
            except TimeoutError:
                _log.warning("engine %d: did not end in %g s; killed", self.process.pid, grace_s)
        self._signal(signal.SIGKILL)
        await self.process.wait()
        if self._reader:
            await asyncio.wait({self._reader}, timeout=1.0)

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            return


@dataclass(slots=True)
class RestartBudget:
    """So many restarts within ten minutes."""

    limit: int
    now: Callable[[], float]
    _spent: deque[float] = field(default_factory=deque)

    def spend(self) -> bool:
        """Whether one more restart is allowed; counts it."""
        now = self.now()
        while self._spent and self._spent[0] < now - BUDGET_WINDOW_S:
            self._spent.popleft()
        if len(self._spent) >= self.limit:
            return False
        self._spent.append(now)
        return True
