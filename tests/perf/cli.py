"""Bench of the command line: how long it takes until it answers.

    make bench BENCH=cli

CPU time of one process, the best of ten, as the machine may be doing much else. The last line is
one JSON object.
"""

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from perf.ranges import report

RUNS = 10
COMMANDS = {
    "help": ["--help"],
    "status": ["status"],
    "validate": ["validate", "crds/samples/trainjob-minimal.yaml"],
}
ROOT = Path(__file__).resolve().parents[2]


def cpu_ms(command: list[str], home: str) -> float:
    """CPU time of one run, milliseconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environ = {**os.environ, "FLAGSCALE_HOME": home}
    subprocess.run(command, cwd=ROOT, env=environ, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used_s = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return used_s * 1000


def main() -> int:
    """Print the figures against their bars."""
    program = str(Path(sys.executable).parent / "flagscale")
    figures = {"python_cpu_ms": [sys.executable, "-c", "pass"]}
    figures |= {f"{name}_cpu_ms": [program, *words] for name, words in COMMANDS.items()}
    with tempfile.TemporaryDirectory() as home:
        best = {
            name: round(min(cpu_ms(command, home) for _ in range(RUNS)))
            for name, command in figures.items()
        }
    return report("cli", {name: float(value) for name, value in best.items()})


if __name__ == "__main__":
    sys.exit(main())
