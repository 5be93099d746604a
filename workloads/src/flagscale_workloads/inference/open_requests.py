"""How many requests are being answered."""

import asyncio
from types import TracebackType
from typing import Self


class OpenRequests:
    """A count, as a context for each request, and the moment when it is zero."""

    def __init__(self) -> None:
        self.count = 0
        self._none = asyncio.Event()
        self._none.set()

    def __enter__(self) -> Self:
        self.count += 1
        self._none.clear()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.count -= 1
        if not self.count:
            self._none.set()

    async def ended(self, *, timeout_s: float) -> bool:
        """Wait until none is open; False when the time is over first."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._none.wait()
        except TimeoutError:
            return False
        return True
