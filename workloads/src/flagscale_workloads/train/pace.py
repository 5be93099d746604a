"""How fast the loop goes."""

import time
from collections import deque
from collections.abc import Callable


class Pace:
    """Speed over the latest steps, validation and checkpoints included."""

    def __init__(self, tokens: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._tokens = tokens
        self._clock = clock
        self._ends = deque([clock()], maxlen=51)

    def step(self) -> None:
        """A step has ended."""
        self._ends.append(self._clock())

    @property
    def tokens_per_second(self) -> float | None:
        """Tokens of all ranks per second; None before the first step."""
        seconds = self._step_seconds
        return None if seconds is None else round(self._tokens / seconds, 1)

    def remaining_s(self, steps: int) -> float | None:
        """Seconds that more steps take; None before the first step."""
        return None if self._step_seconds is None else steps * self._step_seconds

    @property
    def _step_seconds(self) -> float | None:
        if len(self._ends) < 2:
            return None
        return max(1e-9, (self._ends[-1] - self._ends[0]) / (len(self._ends) - 1))


def duration_text(seconds: float | None) -> str:
    """`1h02m`, `1m20s` or `20s`."""
    if seconds is None:
        return "?"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"
