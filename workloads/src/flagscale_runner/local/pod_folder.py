"""One pod on this machine: a folder with its files, and a container process over it."""

import json
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psutil

from flagscale_operator.kinds.clock import format_time
from flagscale_runner.local.container import ENDED, ENVIRONS, FIRST_ENDED, LOG, PROGRAM, STARTED
from flagscale_runner.local.detached import start_detached
from flagscale_runner.local.durable import write_whole
from flagscale_runner.local.mounts import Mounts

MARK: Final = "FLAGSCALE_POD_UID"
HOLDER: Final = "flagscale_runner.local.container"
TERMINATION_LOG: Final = "termination-log"
FIRST_LOG: Final = "first-termination-log"
_FILE_LIMIT: Final = 4096
_TAIL_LIMIT: Final = 2048
"""Limits of the kubelet for a termination message from the file and from the log."""


@dataclass(frozen=True, slots=True)
class PodFolder:
    """The files of one pod."""

    path: Path
    uid: str

    def start(
        self,
        commands: Sequence[Sequence[str]],
        environs: Sequence[Mapping[str, str]],
        *,
        cwd: Path,
        grace_s: float,
        inside: Mapping[str, Path],
    ) -> None:
        """Start it; its processes carry the pod's uid as a mark in their environment.

        The last command is the pod's own; one before it has to succeed first. Started twice, it
        still runs once. The environments may hold secrets: they are gone from the folder once they
        are read. `inside`: folders by the mount paths that they stand for; a termination message
        names the latter.
        """
        marked = [{**environ, MARK: self.uid} for environ in environs]
        program = {"commands": commands, "cwd": str(cwd), "grace_s": grace_s,
                   "inside": {mount: str(folder) for mount, folder in inside.items()}}  # fmt: skip
        write_whole(self.path / PROGRAM, json.dumps(program))
        write_whole(self.path / ENVIRONS, json.dumps(marked))
        write_whole(self.path / FIRST_LOG, "")
        environ = {**os.environ, MARK: self.uid}
        start_detached(HOLDER, str(self.path), environ, self.path / "holder.log")

    def first_end(self) -> dict[str, Any] | None:
        """How the command before the pod's own ended, or None while it has not."""
        try:
            ended = json.loads((self.path / FIRST_ENDED).read_text())
        except FileNotFoundError:
            return None
        told = (self.path / FIRST_LOG).read_text(errors="replace")[-_FILE_LIMIT:]
        return self._terminated(ended, self._mounts().inside(told))

    def started(self) -> bool:
        """Whether its container process came to life."""
        return (self.path / STARTED).exists()

    def holder(self) -> psutil.Process | None:
        """The container process while it lives; a pid that was given to another is not it."""
        try:
            known = json.loads((self.path / STARTED).read_text())
            process = psutil.Process(known["pid"])
            same = abs(process.create_time() - known["born"]) < 0.01
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except (FileNotFoundError, psutil.NoSuchProcess):
            return None

    def ask_to_end(self) -> None:
        """SIGTERM; the container process sends SIGKILL after the grace."""
        if holder := self.holder():
            holder.terminate()

    def family(self) -> Iterator[psutil.Process]:
        """Every process with the mark of this pod."""
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == self.uid:
                    yield process
            except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
                continue

    def end(self) -> dict[str, Any] | None:
        """`terminated` as in a pod's status, or None while it runs.

        One whose container process was killed is ended here: what it held is killed too.
        """
        try:
            ended = json.loads((self.path / ENDED).read_text())
        except FileNotFoundError:
            if not self.started() or self.holder():
                return None
            for process in self.family():
                process.send_signal(signal.SIGKILL)
            ended = {"exitCode": 137, "signal": 9, "finishedAt": datetime.now(UTC).timestamp(),
                     "message": ""}  # fmt: skip
            write_whole(self.path / ENDED, json.dumps(ended))
        told = ended["message"] or self._mounts().inside(
            self._raw_message(failed=ended["exitCode"] != 0)
        )
        return self._terminated(ended, told)

    def _terminated(self, ended: Mapping[str, Any], message: str) -> dict[str, Any]:
        code = ended["exitCode"]
        return {
            "exitCode": code,
            "signal": ended["signal"],
            "reason": "Completed" if code == 0 else "Error",
            "message": message,
            "finishedAt": format_time(datetime.fromtimestamp(ended["finishedAt"], UTC)),
        }

    def _mounts(self) -> Mounts:
        program = json.loads((self.path / PROGRAM).read_text())
        return Mounts(tuple((m, Path(f)) for m, f in program["inside"].items()))

    def _raw_message(self, *, failed: bool) -> str:
        """The termination message, as by `FallbackToLogsOnError`."""
        file = self.path / TERMINATION_LOG
        if file.exists() and file.stat().st_size:
            return file.read_text(errors="replace")[-_FILE_LIMIT:]
        log = self.path / LOG
        if failed and log.exists():
            return log.read_bytes()[-_TAIL_LIMIT:].decode(errors="replace")
        return ""
