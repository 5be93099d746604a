"""A run as it goes: a bar with the loss where there is a terminal, plain lines where not."""

import sys
from typing import Any, Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from flagscale_runner.base import Manifest, Runner, Target, is_settled, phase_of
from flagscale_runner.cli.options import FAILED, SUSPENDED
from flagscale_runner.cli.show import ready

_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_CURVE_WIDTH: Final = 24


def curve(losses: list[float]) -> str:
    """The losses as a line of blocks, the newest at the right."""
    if len(losses) < 2:
        return ""
    step = max(1, len(losses) // _CURVE_WIDTH)
    shown = losses[::-step][:_CURVE_WIDTH][::-1]
    low, high = min(shown), max(shown)
    scale = (len(_BLOCKS) - 1) / (high - low or 1)
    return "".join(_BLOCKS[round((loss - low) * scale)] for loss in shown)


def story(body: Manifest) -> str:
    """Where it is, in one line."""
    status, said = body.get("status") or {}, ready(body)
    progress: dict[str, Any] = status.get("progress") or {}
    if phase_of(body) == "Running" and progress.get("step"):
        rate, eta = progress.get("tokensPerSecond", "?"), progress.get("eta", "?")
        place = f"step {progress['step']}/{progress.get('totalSteps', '?')}"
        return f"{place}  loss {progress.get('loss', '?')}  {rate} tok/s  eta {eta}"
    message = f": {said['message']}" if said.get("message") else ""
    return f"{phase_of(body) or 'Pending'}{message}"


def follow(runner: Runner, target: Target) -> int:
    """Show a job until it has ended; the exit code."""
    console = Console(file=sys.stdout, soft_wrap=True)
    show = _Bar(console, target) if console.is_terminal else _Lines(target)
    with show:
        body = runner.wait(target, show.tell)
    print(f"{target.name}: {story(body)}", flush=True)
    return {"Succeeded": 0, "Ready": 0, "Idle": 0, "Suspended": SUSPENDED}.get(
        phase_of(body), FAILED
    )


class _Lines:
    def __init__(self, target: Target) -> None:
        self._target = target
        self._last = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def tell(self, body: Manifest) -> None:
        text = story(body)
        if text != self._last and not is_settled(body):
            print(f"{self._target.name}: {text}", flush=True)
        self._last = text


class _Bar:
    def __init__(self, console: Console, target: Target) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("[cyan]{task.fields[curve]}"), TextColumn("{task.fields[story]}"),
            console=console,
        )  # fmt: skip
        self._task = self._progress.add_task(target.name, total=100, curve="", story="")
        self._losses: list[float] = []

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def tell(self, body: Manifest) -> None:
        progress = (body.get("status") or {}).get("progress") or {}
        if progress.get("loss"):
            self._losses.append(float(progress["loss"]))
        self._progress.update(
            self._task,
            completed=progress.get("percent") or 0,
            curve=curve(self._losses),
            story=story(body),
        )
