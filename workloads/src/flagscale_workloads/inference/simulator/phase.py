"""Where the process is in its life, which is what /health tells."""

import asyncio
import time
from typing import Literal

Phase = Literal["starting", "ready", "draining"]


class Life:
    """Starting for a while, ready, then draining for ever."""

    def __init__(self, startup_s: float) -> None:
        self._ready_at = time.monotonic() + startup_s
        self._drain = asyncio.Event()

    @property
    def phase(self) -> Phase:
        """The phase now."""
        if self._drain.is_set():
            return "draining"
        return "ready" if time.monotonic() >= self._ready_at else "starting"

    def drain(self) -> None:
        """Take no more requests."""
        self._drain.set()

    async def draining(self) -> None:
        """Wait for the end to begin."""
        await self._drain.wait()
