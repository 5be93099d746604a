"""Follow a TrainJob as a person would: one line per change, a bar, the time."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from support.demo.target import Target

WIDTH = 24
FINAL = ("Succeeded", "Failed")


def bar(percent: int | None) -> str:
    """A progress bar of fixed width."""
    done = WIDTH * (percent or 0) // 100
    return f"[{'#' * done}{'.' * (WIDTH - done)}] {percent or 0:3d} %"


def describe(status: dict[str, Any]) -> str:
    """One line for a TrainJob's status."""
    progress = status.get("progress", {})
    text = f"{status.get('phase', 'Pending'):<11}{bar(progress.get('percent'))}"
    for name, key in (("loss", "loss"), ("tok/s", "tokensPerSecond"), ("eta", "eta")):
        if progress.get(key):
            text += f"  {name} {progress[key]}"
    if status.get("phase") not in ("Running", "Succeeded"):
        ready = [c for c in status.get("conditions", []) if c["type"] == "Ready"]
        text += f"  {ready[0]['reason']}: {ready[0].get('message', '')[:140]}" if ready else ""
    return text


def watch_status(target: Target, namespace: str, name: str) -> Iterator[dict[str, Any]]:
    """Newest status about twice a second, until the job is final."""
    while True:
        status: dict[str, Any] = target.get("trainjob", name, "-n", namespace).get("status", {})
        yield status
        if status.get("phase") in FINAL:
            return
        time.sleep(0.5)


def follow(
    target: Target,
    namespace: str,
    name: str,
    *,
    say: Callable[[str], None],
    timeout_s: float = 1800,
) -> dict[str, Any]:
    """Print every change; the final status. Raises TimeoutError with the last status."""
    started, shown, status = time.monotonic(), "", {}
    for status in watch_status(target, namespace, name):
        line = describe(status)
        if line != shown:
            shown = line
            say(line)
        if time.monotonic() - started > timeout_s:
            msg = f"trainjob {name}: not final after {timeout_s} s: {json.dumps(status)}"
            raise TimeoutError(msg)
    return status
