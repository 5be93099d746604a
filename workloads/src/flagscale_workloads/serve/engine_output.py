"""What an engine prints: its last lines, and the newest state of a progress bar."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

LIMIT_BYTES: Final = 1 << 16
"""Longer lines lose their beginning."""
KEPT_LINES: Final = 40


@dataclass(slots=True)
class EngineOutput:
    """An output as it grows; a bar, which carriage returns draw anew, is one line."""

    tail: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))
    _rest: bytes = b""

    def feed(self, data: bytes) -> Iterator[str]:
        """Take in what was printed next; the lines that it ends."""
        *ended, rest = (self._rest + data).split(b"\n")
        self._rest = rest[-LIMIT_BYTES:]
        for line in ended:
            text = _shown(line[-LIMIT_BYTES:])
            self.tail.append(text)
            yield text

    def close(self) -> Iterator[str]:
        """The last line, if nothing has ended it."""
        if self._rest:
            yield from self.feed(b"\n")

    @property
    def newest(self) -> str:
        """What was printed last, whole line or not; empty when nothing was."""
        return _shown(self._rest) or next((text for text in reversed(self.tail) if text), "")


def _shown(line: bytes) -> str:
    """What a terminal would show of it."""
    states = (state for state in reversed(line.split(b"\r")) if state.strip())
    return next(states, b"").decode(errors="replace").rstrip()
