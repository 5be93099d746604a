"""An arm that fails is left alone for a while, then tried once."""

import threading
from collections.abc import Callable
from typing import Literal

State = Literal["closed", "open", "half-open"]


class Breaker:
    """Opens after `failures` in a row; after `pause_s` one call may probe."""

    def __init__(self, clock: Callable[[], float], failures: int = 3, pause_s: float = 5.0) -> None:
        self._clock = clock
        self._limit = failures
        self._pause_s = pause_s
        self._failed = 0
        self._until_s: float | None = None
        self._probing = False
        self._lock = threading.Lock()

    @property
    def state(self) -> State:
        """What it does now."""
        with self._lock:
            return self._state()

    def allows(self) -> bool:
        """Whether a call may start; in half-open state only one may."""
        with self._lock:
            state = self._state()
            if state == "half-open" and not self._probing:
                self._probing = True
                return True
            return state == "closed"

    def succeeded(self) -> None:
        """Close it."""
        with self._lock:
            self._failed, self._until_s, self._probing = 0, None, False

    def failed(self) -> None:
        """Count a failure; a failed probe opens it again."""
        with self._lock:
            self._failed += 1
            self._probing = False
            if self._failed >= self._limit:
                self._until_s = self._clock() + self._pause_s

    def _state(self) -> State:
        if self._until_s is None:
            return "closed"
        return "open" if self._clock() < self._until_s else "half-open"
