"""`make run` in a terminal, read from its screen as a person reads it."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from support.demo.target import ROOT
from support.engine_process import wait_until

LIMIT_S = 900
"""Of a machine that does much else; about two minutes are usual."""


class Screen:
    """A terminal of 160 columns that a program runs in."""

    def __init__(self, socket: Path) -> None:
        self._tmux = [shutil.which("tmux") or "tmux", "-S", str(socket), "-f", "/dev/null"]

    def start(self, command: str) -> None:
        shape = ["-x", "160", "-y", "50"]
        kept = ["set", "-g", "history-limit", "20000", ";"]
        self._run(*kept, "new-session", "-d", *shape, f"cd {ROOT} && {command}; echo left=$?; cat")

    def text(self) -> str:
        return self._run("capture-pane", "-p", "-S", "-").stdout

    def end(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], capture_output=True)

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*self._tmux, *words], capture_output=True, text=True, check=True)


@pytest.fixture
def screen(tmp_path: Path) -> Iterator[Screen]:
    found = Screen(tmp_path / "tmux")
    yield found
    found.end()


def left_running() -> list[str]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if "flagscale-journey-" in line and "flagscale_runner.local " not in f"{line} ":
            found.append(line)
    return found


def test_the_journey_shows_a_curve_and_the_answers_and_leaves_nothing(screen: Screen) -> None:
    screen.start("make run")
    seen: list[str] = []

    def look() -> bool:
        seen.append(screen.text())
        return "left=" in seen[-1]

    wait_until(look, timeout_s=LIMIT_S, what="the journey ends")
    last = seen[-1]
    assert "left=0" in last, last
    # While it trains: a bar with the losses as blocks, the rate and the time that is left.
    drawn = r"journey .*━.*\d+%.*[▁▂▃▄▅▆▇█]{2,}.*step \d+/100  loss .* tok/s  eta"
    assert any(re.search(drawn, text) for text in seen), seen[len(seen) // 2]
    assert re.search(r"default +journey-gguf +True +http://127\.0\.0\.1:\d+/v1", last)
    for name in ("journey", "journey-gguf"):
        asked = re.escape(f"$ flagscale chat {name} 'The import statement'")
        assert re.search(rf"{asked}[^\n]*\n[^$]*\w", last), last
    assert re.search(r"sky +get-weather", last)
    assert "journey: done in" in last
    assert left_running() == []
