"""How far a download is, told every few seconds."""

import threading
import time
from collections.abc import Callable
from typing import Final

PERIOD_S: Final = 5.0
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")


class Meter:
    """Counts bytes of all threads; the first line comes at once, the last with `close`."""

    def __init__(
        self,
        tell: Callable[[str], None],
        *,
        now: Callable[[], float] = time.monotonic,
        period_s: float = PERIOD_S,
    ) -> None:
        self._tell = tell
        self._now = now
        self._period_s = period_s
        self._lock = threading.Lock()
        self._total: int | None = None
        self._done = self._fetched = 0
        self._started = self._told = now()

    def begin(self, total: int | None) -> None:
        """All bytes there are, if known."""
        self._total, self._started, self._told = total, self._now(), self._now()
        self._tell(f"0 B of {size_text(total)}" if total is not None else "begins")

    def expect(self, total: int) -> None:
        """The size of the only file, which its source told late."""
        if self._total is None:
            self._total = total

    def kept(self, count: int) -> None:
        """Bytes that were there already; negative for such that were thrown away."""
        with self._lock:
            self._done += count

    def add(self, count: int) -> None:
        """Bytes that have arrived."""
        with self._lock:
            self._done += count
            self._fetched += count
            if self._now() - self._told >= self._period_s:
                self._told = self._now()
                self._tell(self._line())

    @property
    def done(self) -> int:
        """Bytes that are there, of all files."""
        return self._done

    def close(self) -> None:
        """Say the sum."""
        self._tell(self._line())

    def _line(self) -> str:
        rate = self._fetched / max(self._now() - self._started, 1e-3)
        if self._total is None:
            return f"{size_text(self._done)}, {size_text(rate)}/s"
        percent = 100 * self._done // max(self._total, 1)
        line = f"{percent}%, {size_text(self._done)} of {size_text(self._total)}"
        left = self._total - self._done
        eta = f", {left / rate:.0f} s left" if rate >= 1 and left > 0 else ""
        return f"{line}, {size_text(rate)}/s{eta}"


def size_text(count: float) -> str:
    """Three digits or so and a unit."""
    unit = 0
    while count >= 1024 and unit < len(_UNITS) - 1:
        count, unit = count / 1024, unit + 1
    return f"{count:.0f} {_UNITS[unit]}" if unit == 0 else f"{count:.1f} {_UNITS[unit]}"
