"""Runs a command to its end, with its output in a log file and a sign of life while it lasts."""

import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from .errors import ClusterError
from .progress import say

HEARTBEAT_SECONDS = 30.0


def tail(log: Path, lines: int = 12) -> str:
    """Return the last lines of a log, or nothing when there is no log."""
    if not log.exists():
        return ""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def run_logged(
    argv: Sequence[str],
    log: Path,
    label: str,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> None:
    """Run a long command; raise ClusterError with the log's end when it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    with (
        log.open("ab") as out,
        subprocess.Popen(argv, cwd=cwd, env=env, stdout=out, stderr=subprocess.STDOUT) as child,
    ):
        code = _wait(child, label, begun)
    if code != 0:
        raise ClusterError(
            f"{label}: {argv[0]} failed, got exit code {code}; see {log}\n{tail(log)}"
        )


def _wait(child: "subprocess.Popen[bytes]", label: str, begun: float) -> int:
    while True:
        try:
            return child.wait(HEARTBEAT_SECONDS)
        except subprocess.TimeoutExpired:
            say(f"{label}: still running after {time.monotonic() - begun:.0f} s")


def capture(
    argv: Sequence[str], *, input_text: str | None = None, env: Mapping[str, str] | None = None
) -> str:
    """Run a short command and return its stdout; raise ClusterError with its stderr."""
    done = subprocess.run(argv, input=input_text, env=env, capture_output=True, text=True)
    if done.returncode != 0:
        raise ClusterError(
            f"{Path(argv[0]).name}: `{' '.join(argv[1:5])}` failed, "
            f"got exit code {done.returncode}: {(done.stderr or done.stdout).strip()[-2000:]}"
        )
    return done.stdout
