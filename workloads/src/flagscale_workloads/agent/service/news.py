"""Changes of the index, told to those who listen at most once a second."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

INTERVAL_S: Final = 1.0


class News:
    """`happened` may be called from any thread, as often as there is something."""

    def __init__(self, tell: Callable[[], Awaitable[None]]) -> None:
        self._tell = tell
        self._event = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def happened(self) -> None:
        """The index has changed."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._event.set)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._event.wait()
            self._event.clear()
            await self._tell()
            await asyncio.sleep(INTERVAL_S)
