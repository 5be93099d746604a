"""The guard of an engine: real processes, killed and asked to end."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from flagscale_workloads.serve import guard
from flagscale_workloads.serve.guard import guarded

FAMILY = """
import pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
print(child.pid, flush=True)
time.sleep(1000)
"""
STARTER = """
import subprocess, sys, time
sys.path.insert(0, sys.argv[1])
import guard
subprocess.Popen(guard.guarded([sys.executable, "-c", sys.argv[2]]), start_new_session=True)
time.sleep(1000)
"""
ENDS = {"code": "import sys; sys.exit(7)", "signal": "import os; os.kill(os.getpid(), 9)"}
OBEYS = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
print("ready", flush=True)
time.sleep(1000)
"""


def test_a_whole_family_ends_with_its_killed_starter() -> None:
    folder = str(Path(guard.__file__).parent)
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, folder, FAMILY], stdout=subprocess.PIPE, text=True
    )
    assert starter.stdout
    youngest = psutil.Process(int(starter.stdout.readline()))
    family = psutil.Process(starter.pid).children(recursive=True)

    starter.kill()
    starter.communicate(timeout=10)

    assert len(family) == 3
    assert youngest in family
    assert psutil.wait_procs(family, timeout=10)[1] == []


@pytest.mark.parametrize(("how", "code"), [("code", 7), ("signal", -signal.SIGKILL)])
def test_a_programs_end_is_that_of_its_guard(how: str, code: int) -> None:
    done = subprocess.run(guarded([sys.executable, "-c", ENDS[how]]), start_new_session=True)

    assert done.returncode == code


def test_a_guard_passes_on_what_asks_its_program_to_end() -> None:
    asked = subprocess.Popen(
        guarded([sys.executable, "-c", OBEYS]),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert asked.stdout
    assert asked.stdout.readline() == "ready\n"

    asked.terminate()
    asked.communicate(timeout=10)

    assert asked.returncode == 5


def test_a_program_that_can_not_be_run_is_told_in_a_sentence() -> None:
    done = subprocess.run(
        guarded(["/etc/passwd"]), start_new_session=True, capture_output=True, text=True
    )

    assert done.returncode == 127
    assert done.stderr == "/etc/passwd: can't be run, got Permission denied\n"
