"""A rate that allows bursts."""

from collections.abc import Callable
from dataclasses import dataclass, field

MINUTE_S = 60.0


@dataclass(slots=True)
class TokenBucket:
    """Refills at `per_minute`, holds at most that many; may go below zero when charged late."""

    per_minute: int
    now: Callable[[], float]
    level: float = field(init=False)
    _at: float = field(init=False)

    def __post_init__(self) -> None:
        self.level = float(self.per_minute)
        self._at = self.now()

    def refill(self) -> None:
        """Add what has flowed in since the last call."""
        now = self.now()
        flowed = (now - self._at) * self.per_minute / MINUTE_S
        self.level = min(float(self.per_minute), self.level + flowed)
        self._at = now

    def take(self, amount: float) -> None:
        """Charge, also what is not there: usage is known only after it was served."""
        self.level -= amount

    def wait_s(self, amount: float) -> float:
        """Seconds until `amount` is there; 0 when it is."""
        missing = amount - self.level
        return max(0.0, missing * MINUTE_S / self.per_minute)
