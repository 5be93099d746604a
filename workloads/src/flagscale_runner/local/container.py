"""The process that holds one pod's program: `python -m flagscale_runner.local.container FOLDER`.

It outlives the agent, so that an exit code is never lost; it adopts whatever the program leaves
behind (`PR_SET_CHILD_SUBREAPER`), and ends all of it before it says how the program ended.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any, Final

import psutil

from flagscale_runner.local.durable import try_lock, write_whole

PROGRAM: Final = "program.json"
ENVIRONS: Final = "environs.json"
"""Of each command; removed when read, as they may hold secrets."""
FIRST_ENDED: Final = "first-ended.json"
"""How a command before the pod's own has ended."""
STARTED: Final = "started.json"
ENDED: Final = "ended.json"
LOG: Final = "log.txt"
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_NOT_STARTED: Final = 128


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _start(
    folder: Path, program: dict[str, Any], command: list[str], environ: dict[str, str]
) -> "subprocess.Popen[bytes]":
    with (folder / LOG).open("ab") as log:
        return subprocess.Popen(
            command,
            env=environ,
            cwd=program["cwd"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - one thread, and nothing but a system call
        )


def end_descendants(grace_s: float = 0.0) -> None:
    """SIGKILL to all that this process has started or adopted."""
    left = psutil.Process().children(recursive=True)
    psutil.wait_procs(left, timeout=grace_s)
    while left := psutil.Process().children(recursive=True):
        for process in left:
            process.kill()
        psutil.wait_procs(left, timeout=1.0)


class Commands:
    """One after the other; a SIGTERM ends the one that runs, and none comes after it."""

    def __init__(self, folder: Path, program: dict[str, Any]) -> None:
        self._folder = folder
        self._program = program
        self._child: subprocess.Popen[bytes] | None = None
        self._asked_at: float | None = None

    def on_term(self, _number: int, _frame: FrameType | None) -> None:
        """Pass a SIGTERM on."""
        self._asked_at = self._asked_at or time.monotonic()
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()

    def run(self, environs: list[dict[str, str]]) -> int:
        """Until the last has ended, or one has failed; the exit code, negative for a signal.

        Raises OSError when one can't be started.
        """
        code, commands = 0, self._program["commands"]
        for number, (command, environ) in enumerate(zip(commands, environs, strict=True), 1):
            self._child = _start(self._folder, self._program, command, environ)
            if self._asked_at:
                self._child.terminate()
            code = self._wait(self._child)
            end_descendants()
            if number < len(commands):
                _tell(self._folder / FIRST_ENDED, code, "")
            if code or self._asked_at:
                break
        return code

    def _wait(self, child: "subprocess.Popen[bytes]") -> int:
        while True:
            try:
                return child.wait(timeout=0.2)
            except subprocess.TimeoutExpired:
                grace_s = self._program["grace_s"]
                if self._asked_at and time.monotonic() - self._asked_at > grace_s:
                    end_descendants()


def hold(folder: Path) -> int:
    """Run its commands and write how they ended; the exit code.

    Only the first of several that are started over the same folder does it.
    """
    if try_lock(folder / "holder.lock") is None or (folder / STARTED).exists():
        return 0
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    me = psutil.Process()
    write_whole(folder / STARTED, json.dumps({"pid": me.pid, "born": me.create_time()}))
    program = json.loads((folder / PROGRAM).read_text())
    environs = json.loads((folder / ENVIRONS).read_text())
    (folder / ENVIRONS).unlink()
    commands = Commands(folder, program)
    signal.signal(signal.SIGTERM, commands.on_term)
    try:
        code = commands.run(environs)
    except OSError as error:
        (folder / LOG).write_text(f"{error.filename}: {error.strerror}\n")
        return _tell(folder / ENDED, _NOT_STARTED, str(error))
    return _tell(folder / ENDED, code, "")


def _tell(file: Path, code: int, message: str) -> int:
    ended = {"exitCode": 128 - code if code < 0 else code, "signal": -code if code < 0 else None,
             "finishedAt": time.time(), "message": message}  # fmt: skip
    write_whole(file, json.dumps(ended))
    return 0


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(hold(Path(sys.argv[1])))
