"""Connections to one engine process: kept alive, one request at a time each."""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Final, Literal, cast

import httptools

BUFFER_LIMIT_BYTES: Final = 262_144
IDLE_LIMIT: Final = 256


UpstreamFailure = Literal["connect", "stale", "timeout", "lost"]
"""stale: a kept connection was closed before any byte, which says nothing of the engine."""


class UpstreamError(Exception):
    """The engine could not be reached, or went away before its answer was complete."""

    def __init__(self, message: str, kind: UpstreamFailure = "lost") -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """Status and headers; names in lower case."""

    status: int
    headers: dict[bytes, bytes]

    @property
    def content_type(self) -> bytes:
        """The media type with its parameters."""
        return self.headers.get(b"content-type", b"application/octet-stream")

    @property
    def streams(self) -> bool:
        """Whether the body comes as events over time."""
        return self.content_type.startswith(b"text/event-stream")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long an engine may take: to its first byte, between bytes, and in all."""

    first_byte_s: float
    idle_s: float
    total_s: float


class UpstreamConnection(asyncio.Protocol):
    """One connection; `request`, then `head`, then `read` until it returns None."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport
        self._wake: asyncio.Future[None] | None = None
        self._requests = 0
        self._lost: str | None = None
        self._failure: UpstreamFailure = "lost"
        self._paused = False
        self._idle_s = 0.0
        self._ends_at = 0.0
        self.deadline = float("inf")
        """When `UpstreamPool.expire` gives up on it, in the loop's time."""
        self._reset()

    def _reset(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[bytes, bytes] = {}
        self._head: ResponseHead | None = None
        self._pieces: deque[bytes] = deque()
        self._buffered = 0
        self._complete = False
        self._keep_alive = False

    # --- transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        # uvloop has transport classes of its own.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """The engine closed, or we did."""
        if self._lost is None:
            self._lost = str(exc) if exc else "connection closed"
        self._wake_up()

    def data_received(self, data: bytes) -> None:
        """Bytes of the engine."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._lost = f"not valid HTTP ({error})"
            self._transport.abort()
        self._expect_more()
        self._wake_up()

    def _expect_more(self) -> None:
        """An engine that is not read from, because the client is slow, is not silent."""
        silent_at = float("inf") if self._paused else self._loop.time() + self._idle_s
        self.deadline = min(silent_at, self._ends_at)

    # --- parser

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._head = ResponseHead(self._parser.get_status_code(), self._headers)

    def on_body(self, data: bytes) -> None:
        """A part of the body."""
        self._pieces.append(data)
        self._buffered += len(data)
        if self._buffered > BUFFER_LIMIT_BYTES and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """The answer is whole."""
        self._complete = True
        self._keep_alive = self._parser.should_keep_alive()

    # --- use

    @property
    def reusable(self) -> bool:
        """Whether another request may be sent: the last answer was read to its end."""
        return (
            self._lost is None
            and not self._transport.is_closing()
            and (self._requests == 0 or (self._complete and self._keep_alive and not self._pieces))
        )

    @property
    def answering(self) -> bool:
        """Whether the answer has begun."""
        return self._head is not None

    def request(self, data: bytes, *, timeouts: Timeouts) -> None:
        """Send one whole request."""
        if self._requests:
            self._reset()
        self._requests += 1
        now = self._loop.time()
        self._idle_s = timeouts.idle_s
        self._ends_at = now + timeouts.total_s
        self.deadline = min(now + timeouts.first_byte_s, self._ends_at)
        self._transport.write(data)

    async def head(self) -> ResponseHead:
        """The head of the answer. Raises UpstreamError."""
        while self._head is None:
            self._fail_if_lost()
            await self._woken()
        return self._head

    async def read(self) -> bytes | None:
        """What has come since the last call, at least a byte; None at the end."""
        while not self._pieces:
            if self._complete:
                return None
            self._fail_if_lost()
            await self._woken()
        data = self._pieces.popleft() if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._buffered = 0
        if self._paused:
            self._paused = False
            self._expect_more()
            self._transport.resume_reading()
        return data

    async def read_all(self, limit_bytes: int) -> bytes:
        """The whole body. Raises UpstreamError, also when it is over the limit."""
        parts: list[bytes] = []
        size = 0
        while (part := await self.read()) is not None:
            parts.append(part)
            size += len(part)
            if size > limit_bytes:
                msg = f"answer over {limit_bytes} bytes"
                raise UpstreamError(msg)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def abort(self) -> None:
        """Close at once: the engine takes it as a cancel."""
        self._transport.abort()

    def give_up(self, why: str) -> None:
        """Close at once and tell whoever waits for the answer."""
        self._lost, self._failure = why, "timeout"
        self._transport.abort()
        self._wake_up()

    def _fail_if_lost(self) -> None:
        if self._lost is not None:
            stale = self._failure == "lost" and self._requests > 1 and self._head is None
            raise UpstreamError(self._lost, "stale" if stale else self._failure)

    async def _woken(self) -> None:
        self._wake = self._loop.create_future()
        try:
            await self._wake
        finally:
            self._wake = None

    def _wake_up(self) -> None:
        if self._wake and not self._wake.done():
            self._wake.set_result(None)


class UpstreamPool:
    """Connections to one address; the ones used last are used first."""

    def __init__(self, host: str, port: int, *, connect_timeout_s: float = 2.0) -> None:
        self._host = host
        self._port = port
        self._connect_timeout_s = connect_timeout_s
        self._idle: list[UpstreamConnection] = []
        self._active: set[UpstreamConnection] = set()
        self._closed = False

    async def acquire(self, *, fresh: bool = False) -> UpstreamConnection:
        """An idle connection or a new one. Raises UpstreamError."""
        while self._idle and not fresh:
            connection = self._idle.pop()
            if connection.reusable:
                self._active.add(connection)
                return connection
        connection = await self._connect()
        self._active.add(connection)
        return connection

    async def _connect(self) -> UpstreamConnection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                _, made = await loop.create_connection(
                    lambda: UpstreamConnection(loop), self._host, self._port
                )
        except (OSError, TimeoutError) as error:
            msg = f"cannot connect ({error or 'timeout'})"
            raise UpstreamError(msg, "connect") from error
        return made

    def release(self, connection: UpstreamConnection) -> None:
        """Keep it if its answer is complete, else close it, which cancels the request."""
        self._active.discard(connection)
        connection.deadline = float("inf")
        if connection.reusable and not self._closed and len(self._idle) < IDLE_LIMIT:
            self._idle.append(connection)
        else:
            connection.abort()

    def expire(self, now: float) -> None:
        """Give up on connections whose engine is silent for too long."""
        for connection in [c for c in self._active if c.deadline < now]:
            connection.give_up("silent for too long")

    def give_up_unanswered(self, why: str) -> None:
        """Fail requests that have no answer yet, so that another replica can give it."""
        for connection in [c for c in self._active if not c.answering]:
            connection.give_up(why)

    def close(self) -> None:
        """Close all idle connections; active ones end with their answers and are not kept."""
        self._closed = True
        while self._idle:
            self._idle.pop().abort()
