"""Events of the model's thread in an event loop, and clients that go away."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from flagscale_workloads.inference.jobs import Event, Failure, Job, is_last

T = TypeVar("T")
Submit = Callable[[Callable[[Event], None]], Job]


class ClientGone(Exception):  # noqa: N818 - not an error of ours
    """Nobody reads the answer any more."""


class Events:
    """What a job tells, awaited; leaving the context cancels the job."""

    def __init__(self, submit: Submit) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Event] = asyncio.Queue()
        self._job = submit(self._emit)

    def cancel(self) -> None:
        """Free the job's place."""
        self._job.cancel()

    async def next(self) -> Event:
        """The next event. Raises RequestError when the job failed."""
        event = await self._queue.get()
        if isinstance(event, Failure):
            raise event.error
        return event

    async def rest(self) -> AsyncIterator[Event]:
        """All further events."""
        while True:
            event = await self.next()
            yield event
            if is_last(event):
                return

    def _emit(self, event: Event) -> None:
        # A loop that is closed has nobody waiting.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._queue.put_nowait, event)


async def unless_gone(work: Awaitable[T], gone: Awaitable[None]) -> T:
    """The result of some work. Raises ClientGone, and cancels it, when `gone` comes first."""
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(gone)
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGone
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()
