"""Simulator processes for tests: each on a free port of its own, ended with the test."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

MODEL: Final = "tiny"
_MODULE: Final = "flagscale_workloads.inference.simulator"


@dataclass(frozen=True, slots=True)
class SimulatorProcess:
    """A process that takes connections."""

    url: str
    process: "subprocess.Popen[str]"


@contextmanager
def running_simulator(*arguments: str) -> Iterator[SimulatorProcess]:
    """A simulator with these further options."""
    command = [sys.executable, "-m", _MODULE, "--port=0", f"--served-model-name={MODEL}"]
    process = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        # It tells its port once the kernel queues connections for it.
        line = process.stdout.readline()
        if not line:
            msg = f"simulator: ended before it listened, got exit code {process.wait(10)}"
            raise RuntimeError(msg)
        yield SimulatorProcess(f"http://127.0.0.1:{line.split()[-1]}", process)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
