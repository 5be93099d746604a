"""Starts and stops background processes that outlive this one, by pid files.

A pid file holds the pid, the kernel's start time of that pid and a digest of the command, so a
recycled pid is never mistaken for ours and a changed command is noticed.
"""

import hashlib
import json
import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from .commands import tail
from .errors import ClusterError
from .health import healthy

POLL_SECONDS = 0.1
STDERR = 2


@dataclass(frozen=True)
class Component:
    """One background process of the cluster."""

    name: str
    argv: tuple[str, ...]
    health: str
    """Address that `health.healthy` understands."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Variables beside those of this process."""
    files: tuple[Path, ...] = ()
    """Files it reads only when it starts: a change of one asks for a restart."""

    def digest(self) -> str:
        """Changes whenever the command, its variables or its files do."""
        text = json.dumps([self.argv, sorted(self.env.items())]).encode()
        contents = (file.read_bytes() for file in self.files)
        return hashlib.sha256(b"\0".join([text, *contents])).hexdigest()[:16]


@dataclass(frozen=True)
class Record:
    """The content of a pid file."""

    pid: int
    started: int
    digest: str


def start_time(stat: str) -> int | None:
    """Read field 22 of /proc/<pid>/stat, in clock ticks since boot; None for a zombie."""
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else int(fields[19])


@dataclass(frozen=True)
class Supervisor:
    """The processes of one state folder."""

    folder: Path

    def log(self, name: str) -> Path:
        """The file that gets a component's output."""
        return self.folder / "logs" / f"{name}.log"

    def record(self, name: str) -> Record | None:
        """The pid file's content if that very process still runs, else None."""
        try:
            record = Record(**json.loads(self._pid_file(name).read_text()))
            # Reap it when it was our own child, so that a dead one is not seen as a zombie.
            with suppress(ChildProcessError):
                os.waitpid(record.pid, os.WNOHANG)
            stat = Path(f"/proc/{record.pid}/stat").read_text()
        except (OSError, ValueError, TypeError):
            return None
        return record if start_time(stat) == record.started else None

    def start(self, component: Component) -> bool:
        """Start a component unless it runs with this very command; say whether it did."""
        digest = component.digest()
        record = self.record(component.name)
        if record is not None and record.digest == digest:
            return False
        self.stop(component.name)
        log = self.log(component.name)
        log.parent.mkdir(parents=True, exist_ok=True)
        pid = _spawn(component, log)
        stat = Path(f"/proc/{pid}/stat").read_text()
        record = Record(pid, start_time(stat) or 0, digest)
        self._pid_file(component.name).parent.mkdir(parents=True, exist_ok=True)
        self._pid_file(component.name).write_text(json.dumps(vars(record)))
        return True

    def wait_healthy(self, component: Component, seconds: float = 60.0) -> None:
        """Block until the component is healthy; raise when it died or the time is up."""
        deadline = time.monotonic() + seconds
        while not healthy(component.health):
            log = self.log(component.name)
            if self.record(component.name) is None:
                raise ClusterError(f"{component.name}: ended early; see {log}\n{tail(log)}")
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"{component.name}: not healthy, got no answer from {component.health} "
                    f"in {seconds:.0f} s; see {log}\n{tail(log)}"
                )
            time.sleep(POLL_SECONDS)

    def stop(self, name: str, grace_seconds: float = 10.0) -> bool:
        """End a component, by force after the grace; say whether it was running."""
        record = self.record(name)
        if record is not None:
            _signal(record.pid, signal.SIGTERM)
            deadline = time.monotonic() + grace_seconds
            while self.record(name) is not None:
                if time.monotonic() > deadline:
                    _signal(record.pid, signal.SIGKILL)
                time.sleep(POLL_SECONDS)
        self._pid_file(name).unlink(missing_ok=True)
        return record is not None

    def names(self) -> list[str]:
        """Every component that has a pid file, running or not."""
        return sorted(file.stem for file in (self.folder / "pids").glob("*.json"))

    def _pid_file(self, name: str) -> Path:
        return self.folder / "pids" / f"{name}.json"


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _spawn(component: Component, log: Path) -> int:
    # A lock that the caller holds by an open file would be held for as long as the component runs.
    for file in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            if int(file.name) > STDERR:
                os.set_inheritable(int(file.name), False)  # noqa: FBT003 - takes no keywords
    return os.posix_spawn(
        component.argv[0],
        component.argv,
        {**os.environ, **component.env},
        setsid=True,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
    )
