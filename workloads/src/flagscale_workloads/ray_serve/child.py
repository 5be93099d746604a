"""The serving process of this pod: started, watched and ended by the replica that Ray placed here.

It listens on the pod's own port, so requests reach it without passing through Ray. When the replica
dies, the kernel tells the process to end, and its running requests may end first.
"""

import asyncio
import json
import os
import signal
import sys
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

PID_FILE: Final = Path("/tmp/flagscale-serve.pid")  # noqa: S108 - a volume of this pod alone
STOPPING_FILE: Final = Path("/tmp/flagscale-stopping")  # noqa: S108
POD_LOG: Final = Path("/proc/1/fd/2")
"""What `kubectl logs` shows; Ray keeps a replica's own output in files."""
POLL_S: Final = 0.2
LOG_LINES: Final = 40
FAILURE_MARK: Final = "flagscale-exit: "
"""Before the JSON that tells the operator, through Ray's and KubeRay's status, what happened."""
# Ray sets it to one for every actor; an engine is to use the pod's cores.
_NOT_INHERITED: Final = ("OMP_NUM_THREADS",)


class ServingExitedError(Exception):
    """The serving process has ended; the message is one line with exit code and last words."""

    def __init__(self, exit_code: int, last_words: str) -> None:
        told = json.dumps({"exitCode": exit_code, "message": last_words[-2000:]})
        super().__init__(f"{FAILURE_MARK}{told}")


def healthy(url: str, timeout_s: float = 2.0) -> bool:
    """Whether the door at `url` says that its engine has generated a token."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=timeout_s) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The pod's environment, without what Ray added for its own actor."""
    return {name: value for name, value in environ.items() if name not in _NOT_INHERITED}


def alive(pid: int) -> bool:
    """Whether a process has not ended; one that nobody has waited for yet has."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")


def recorded_pid(file: Path = PID_FILE) -> int | None:
    """The serving process that was started last here, if it has not ended."""
    try:
        pid = int(file.read_text())
    except (OSError, ValueError):
        return None
    return pid if alive(pid) else None


async def end(pid: int, *, grace_s: float) -> None:
    """Ask a serving process to end; its requests may run for so long, then it is killed."""
    deadline = asyncio.get_running_loop().time() + grace_s
    _signal(pid, signal.SIGTERM)
    while alive(pid) and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 - no child
        await asyncio.sleep(POLL_S)
    if alive(pid):
        _signal(pid, signal.SIGKILL)


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


@dataclass(slots=True)
class ServingProcess:
    """`python -m flagscale_workloads.serve CONFIG`, and the end of its log."""

    process: asyncio.subprocess.Process
    reader: asyncio.Task[None]
    tail: deque[str]

    @classmethod
    async def start(
        cls, config: Path, *, environ: Mapping[str, str], pid_file: Path, log: Path
    ) -> "ServingProcess":
        """Start it so that it ends with the thread that calls this."""
        command = (sys.executable, "-m", "flagscale_workloads.serve", str(config))
        process = await asyncio.create_subprocess_exec(
            *("setpriv", "--pdeathsig", "TERM", "--", *command),
            env=child_environment(environ),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=1 << 20,
        )
        pid_file.write_text(str(process.pid))  # noqa: ASYNC240 - a few bytes in memory
        tail: deque[str] = deque(maxlen=LOG_LINES)
        return cls(process, asyncio.create_task(_read(process, tail, log)), tail)

    async def await_ready(self, url: str) -> None:
        """Wait until its door is open. Raises ServingExitedError when it ends instead.

        There is no deadline: the process itself ends when an engine takes too long.
        """
        while not await asyncio.to_thread(healthy, url):
            await self.check()
            await asyncio.sleep(POLL_S)

    async def check(self) -> None:
        """Raise ServingExitedError if it has ended."""
        code = self.process.returncode
        if code is not None:
            await asyncio.wait({self.reader}, timeout=1.0)
            raise ServingExitedError(code if code >= 0 else 128 - code, "\n".join(self.tail))


async def _read(process: asyncio.subprocess.Process, tail: deque[str], log: Path) -> None:
    assert process.stdout is not None  # noqa: S101 - asked for above
    with _opened(log) as pod_log:
        while line := await process.stdout.readline():
            tail.append(line.decode(errors="replace").rstrip())
            pod_log.write(line)
            pod_log.flush()


def _opened(log: Path) -> BinaryIO:
    try:
        return log.open("wb")
    except OSError:
        return Path(os.devnull).open("wb")
