"""Limits of each caller: a rate, and requests at the same time."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from typing import Final

from flagscale_workloads.agent.service.errors import ServiceError
from flagscale_workloads.serve.token_bucket import TokenBucket

CALLERS: Final = 10_000


@dataclass(slots=True)
class _State:
    bucket: TokenBucket
    running: int = 0


class Admission:
    """Counts every caller, and all of them together."""

    def __init__(
        self, *, per_minute: int, at_once: int, in_all: int, clock: Callable[[], float]
    ) -> None:
        self._per_minute = per_minute
        self._at_once = at_once
        self._in_all = in_all
        self._clock = clock
        self._callers: OrderedDict[str, _State] = OrderedDict()
        self.running = 0

    def take(self, caller: str) -> None:
        """Count a request against the rate. Raises ServiceError 429."""
        state = self._state(caller)
        state.bucket.refill()
        if wait_s := state.bucket.wait_s(1):
            raise _too_many(caller, f"{self._per_minute} requests per minute", ceil(wait_s))
        state.bucket.take(1)

    @contextmanager
    def running_for(self, caller: str) -> Iterator[None]:
        """While a request runs. Raises ServiceError 429 or 503; then nothing was counted."""
        state = self._state(caller)
        if self.running >= self._in_all:
            message = f"service: {self._in_all} requests run already; try again"
            raise ServiceError(503, "overloaded", message, retry_after_s=1)
        if state.running >= self._at_once:
            raise _too_many(caller, f"{self._at_once} requests at the same time", 1)
        state.running += 1
        self.running += 1
        try:
            yield
        finally:
            state.running -= 1
            self.running -= 1

    def _state(self, caller: str) -> _State:
        state = self._callers.get(caller)
        if state is None:
            state = self._callers[caller] = _State(TokenBucket(self._per_minute, self._clock))
        self._callers.move_to_end(caller)
        while len(self._callers) > CALLERS:
            self._callers.popitem(last=False)
        return state


def _too_many(caller: str, limit: str, retry_after_s: int) -> ServiceError:
    message = f"caller {caller}: over the limit of {limit}; wait {retry_after_s} s"
    return ServiceError(429, "rate_limit_exceeded", message, retry_after_s=retry_after_s)
