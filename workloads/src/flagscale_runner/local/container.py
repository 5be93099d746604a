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
STARTED: Final = "started.json"
ENDED: Final = "ended.json"
LOG: Final = "log.txt"
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_NOT_STARTED: Final = 128


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _start(folder: Path, program: dict[str, Any]) -> "subprocess.Popen[bytes]":
    with (folder / LOG).open("ab") as log:
        return subprocess.Popen(
            program["command"],
            env=program["environ"],
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


def hold(folder: Path) -> int:
    """Run the program to its end and write how it ended; the exit code.

    Only the first of several that are started over the same folder does it.
    """
    if try_lock(folder / "holder.lock") is None or (folder / STARTED).exists():
        return 0
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    me = psutil.Process()
    write_whole(folder / STARTED, json.dumps({"pid": me.pid, "born": me.create_time()}))
    program = json.loads((folder / PROGRAM).read_text())
    asked: list[float] = []

    def on_term(_number: int, _frame: FrameType | None) -> None:
        asked.append(time.monotonic())
        if child is not None and child.poll() is None:
            child.terminate()

    child: subprocess.Popen[bytes] | None = None
    signal.signal(signal.SIGTERM, on_term)
    try:
        child = _start(folder, program)
    except OSError as error:
        (folder / LOG).write_text(f"{program['command'][0]}: {error.strerror}\n")
        return _tell(folder, _NOT_STARTED, str(error))
    code = _wait(child, asked, program["grace_s"])
    end_descendants()
    return _tell(folder, code, "")


def _wait(child: "subprocess.Popen[bytes]", asked: list[float], grace_s: float) -> int:
    while True:
        try:
            return child.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            if asked and time.monotonic() - asked[0] > grace_s:
                end_descendants()


def _tell(folder: Path, code: int, message: str) -> int:
    ended = {"exitCode": 128 - code if code < 0 else code, "signal": -code if code < 0 else None,
             "finishedAt": time.time(), "message": message}  # fmt: skip
    write_whole(folder / ENDED, json.dumps(ended))
    return 0


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(hold(Path(sys.argv[1])))
