"""The operator's budget of API requests: a token bucket, so that a storm becomes a queue."""

import asyncio
from collections.abc import Awaitable, Callable


class RequestBudget:
    """At most `rate_per_s` requests on average (None: any) and `burst` at once, in order."""

    def __init__(
        self,
        *,
        rate_per_s: float | None = 200.0,
        burst: int = 400,
        clock: Callable[[], float] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._rate_per_s = rate_per_s
        self._burst = float(burst)
        self._tokens = float(burst)
        self._clock = clock or asyncio.get_running_loop().time
        self._sleep = sleep
        self._updated_at = self._clock()

    async def take(self) -> None:
        """Wait for one request's worth of budget."""
        if self._rate_per_s is None:
            return
        now = self._clock()
        refill = (now - self._updated_at) * self._rate_per_s
        self._tokens = min(self._burst, self._tokens + refill) - 1
        self._updated_at = now
        # Negative tokens are requests that wait already: each later one waits a little longer.
        if self._tokens < 0:
            await self._sleep(-self._tokens / self._rate_per_s)
