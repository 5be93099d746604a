"""A load generator that costs little: raw connections on uvloop, bytes made once."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import httptools

from support.percentiles import percentile


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go, and the bytes of one."""

    port: int
    request: bytes


class LoadConnection(asyncio.Protocol):
    """Sends one request at a time; `answered` has the time of its last byte."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._answered: asyncio.Future[float] | None = None
        self._status = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        """Bytes of the answer."""
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side closed: an answer that is not complete is an error."""
        if self._answered and not self._answered.done():
            self._answered.set_exception(ConnectionError("closed before the answer"))

    def on_message_complete(self) -> None:
        """The answer is whole."""
        status = self._parser.get_status_code()
        self._parser = httptools.HttpResponseParser(self)
        if self._answered is None or self._answered.done():
            return
        if status == 200:
            self._answered.set_result(time.perf_counter())
        else:
            self._answered.set_exception(RuntimeError(f"status {status}"))

    async def ask(self, request: bytes) -> float:
        """Send a request; seconds until its answer was complete."""
        self._answered = asyncio.get_running_loop().create_future()
        started = time.perf_counter()
        self._transport.write(request)
        return await self._answered - started

    def close(self) -> None:
        """Close."""
        self._transport.close()


async def connect(target: Target) -> LoadConnection:
    """A new connection."""
    loop = asyncio.get_running_loop()
    _, made = await loop.create_connection(LoadConnection, "127.0.0.1", target.port)
    return made


async def closed_loop(target: Target, *, requests: int, connections: int) -> float:
    """Requests per second with so many always under way."""
    opened = [await connect(target) for _ in range(connections)]
    left = requests

    async def work(connection: LoadConnection) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await connection.ask(target.request)

    started = time.perf_counter()
    await asyncio.gather(*(work(connection) for connection in opened))
    elapsed_s = time.perf_counter() - started
    for connection in opened:
        connection.close()
    return requests / elapsed_s


@dataclass(slots=True)
class OpenLoop:
    """Requests leave at a constant rate, whether or not others were answered."""

    target: Target
    idle: list[LoadConnection] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)

    async def run(self, *, rate_per_s: float, duration_s: float) -> Sequence[float]:
        """Seconds of each request."""
        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(int(rate_per_s * duration_s)):
                await asyncio.sleep(started + number / rate_per_s - time.perf_counter())
                group.create_task(self._one())
        for connection in self.idle:
            connection.close()
        return self.times_s

    async def _one(self) -> None:
        connection = self.idle.pop() if self.idle else await connect(self.target)
        self.times_s.append(await connection.ask(self.target.request))
        self.idle.append(connection)


def milliseconds(times_s: Sequence[float], percent: float) -> float:
    """A percentile in ms."""
    return percentile(times_s, percent) * 1000
