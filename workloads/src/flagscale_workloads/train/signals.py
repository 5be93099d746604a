"""SIGTERM: leave at once while there is nothing to save, at a step boundary afterwards."""

import signal
from types import FrameType
from typing import Final

TERMINATED: Final = 143


class Termination:
    """Whether the process was asked to end."""

    def __init__(self) -> None:
        self.requested = False
        self._deferred = False

    def install(self) -> None:
        """Handle SIGTERM from now on."""
        signal.signal(signal.SIGTERM, self._on_signal)

    def defer(self) -> None:
        """From now on only note the request: the loop saves first."""
        self._deferred = True

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        del signum, frame
        self.requested = True
        if not self._deferred:
            raise SystemExit(TERMINATED)
