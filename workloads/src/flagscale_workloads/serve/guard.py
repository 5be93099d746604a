"""Runs a program, and ends it with all of its children once whoever started the guard is gone.

`prctl(PR_SET_PDEATHSIG)` ends a child, not its children: vLLM's EngineCore would live on with all
of the memory. The guard asks for it for itself and passes it on to the whole process group, which
it has to lead. It is a file of the standard library alone, as it runs beside each engine.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

_PR_SET_PDEATHSIG = 1
_STARTER_IS_GONE = signal.SIGUSR2
_PASSED_ON = (signal.SIGTERM, signal.SIGINT)


def guarded(command: Sequence[str]) -> list[str]:
    """A command that runs this one, and ends with the thread that starts it."""
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]


def _end_all(_number: int, _frame: FrameType | None) -> None:
    os.killpg(0, signal.SIGKILL)


def _die_of(number: int) -> None:
    """End as the program did, so that whoever waits learns it."""
    if number not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def run(starter: int, command: Sequence[str]) -> int:
    """Until the program has ended; its exit code."""
    asked: list[int] = []
    child: subprocess.Popen[bytes] | None = None

    def pass_on(number: int, _frame: FrameType | None) -> None:
        asked.append(number)
        if child is not None:
            child.send_signal(number)

    for number in _PASSED_ON:
        signal.signal(number, pass_on)
    signal.signal(_STARTER_IS_GONE, _end_all)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _STARTER_IS_GONE)
    if os.getppid() != starter:  # it went before the kernel was asked
        return 1
    child = subprocess.Popen(command)
    for missed in asked:
        child.send_signal(missed)
    code = child.wait()
    if code < 0:
        _die_of(-code)
    return code


def main() -> int:
    """`guard.py PID COMMAND...`, for the process with that pid."""
    starter, *command = sys.argv[1:]
    try:
        return run(int(starter), command)
    except OSError as error:
        print(f"{command[0]}: can't be run, got {error.strerror}", file=sys.stderr)
        return 127


if __name__ == "__main__":
    sys.exit(main())
