"""One client connection: requests in, one at a time; responses out, with back-pressure."""

import asyncio
from collections import deque
from typing import Final, Protocol, cast

import httptools

from flagscale_workloads.serve.http.exchange import Exchange
from flagscale_workloads.serve.http.listener import Listener
from flagscale_workloads.serve.http.messages import (
    JSON,
    HttpError,
    Request,
    busy,
    request_head,
    response_head,
    split_target,
)

HEAD_LIMIT_BYTES: Final = 65536
PIPELINE_LIMIT: Final = 8
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Upgrade(Protocol):
    """What takes the connection over after an upgrade; see `websocket`."""

    def data_received(self, data: bytes) -> None:
        """Bytes of the client."""

    def connection_lost(self) -> None:
        """The client is gone."""


class ServerConnection(asyncio.Protocol):
    """The protocol object that uvloop calls."""

    def __init__(self, listener: Listener, loop: asyncio.AbstractEventLoop) -> None:
        self._listener = listener
        self._loop = loop
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[Request] = deque()
        self._task: asyncio.Task[None] | None = None
        self._upgraded: Upgrade | None = None
        self._drained: asyncio.Future[None] | None = None
        self._rest = b""
        self._untaken_bytes = 0
        self._refused = False
        self.transport: asyncio.Transport
        self.deadline = 0.0
        self._new_message()

    def _new_message(self) -> None:
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._head_bytes = 0
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._receiving = False
        self._offered = b""
        self._complete_by = float("inf")

    # --- transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        # uvloop has transport classes of its own.
        self.transport = cast("asyncio.Transport", transport)
        listener = self._listener
        listener.connections.add(self)
        self.deadline = listener.now() + listener.head_timeout_s
        if len(listener.connections) > listener.max_connections:
            limit = listener.max_connections
            self._refuse(busy(503, "too_many_connections", f"all {limit} connections are in use"))

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone: whatever was computed for it is cancelled."""
        self._listener.connections.discard(self)
        self.resume_writing()
        if self._upgraded:
            self._upgraded.connection_lost()
        if self._task:
            self._task.cancel()

    def eof_received(self) -> None:
        """Half-closed clients are treated as gone, as in uvicorn and nginx."""

    def data_received(self, data: bytes) -> None:
        """Bytes of the client."""
        if self._upgraded:
            self._upgraded.data_received(data)
            return
        while data and not self._refused:
            data = self._parse(data)

    def _parse(self, data: bytes) -> bytes:
        """Feed the parser; what it has to be fed next."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            return self._upgrade_offered(data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            if not isinstance(cause, HttpError):
                raise
            self._refuse(cause)
        except httptools.HttpParserError:
            message = "request: not valid HTTP/1.1; correct the client"
            self._refuse(HttpError(400, "bad_request", message))
        return b""

    def _upgrade_offered(self, rest: bytes) -> bytes:
        """Keep what follows a handshake; an offer that is not taken is read as if never made."""
        if not self._offered:
            self._rest = rest
            return b""
        self._parser = httptools.HttpRequestParser(self)
        return self._offered + rest

    def pause_writing(self) -> None:
        """The client reads more slowly than we write."""
        if self._drained is None:
            self._drained = self._loop.create_future()
            self._untaken_bytes = self.transport.get_write_buffer_size()
            self.deadline = self._listener.now() + self._listener.idle_timeout_s

    def resume_writing(self) -> None:
        """The client has caught up."""
        drained, self._drained = self._drained, None
        idle_until = self._listener.now() + self._listener.idle_timeout_s
        self.deadline = float("inf") if self._task else idle_until
        if drained and not drained.done():
            drained.set_result(None)

    async def drained(self) -> None:
        """Until more may be written."""
        if self._drained:
            await self._drained

    # --- parser

    def on_message_begin(self) -> None:
        """A request starts."""
        self._new_message()
        self._receiving = True
        now = self._listener.now()
        self.deadline = now + self._listener.head_timeout_s
        self._complete_by = now + self._listener.request_timeout_s

    def on_url(self, url: bytes) -> None:
        """A part of the target."""
        self._url += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._count_head(len(name) + len(value))
        self._headers[name.lower()] = value

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > HEAD_LIMIT_BYTES:
            raise HttpError(431, "headers_too_large", "request: headers over 64 KiB; send fewer")

    def on_headers_complete(self) -> None:
        """The head is there; a body that is too long is refused before it is sent."""
        length = self._headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._listener.max_body_bytes:
            raise self._too_large()
        told = self._task is not None or self._foreign_upgrade()
        if self._headers.get(b"expect", b"").lower() == b"100-continue" and not told:
            self.transport.write(CONTINUE)

    def _foreign_upgrade(self) -> bool:
        """Whether another protocol than WebSocket is offered, as Java's client offers HTTP/2."""
        offered = self._headers.get(b"upgrade", b"").lower()
        return self._parser.should_upgrade() and offered != b"websocket"

    def on_body(self, data: bytes) -> None:
        """A part of the body."""
        self._body_bytes += len(data)
        if self._body_bytes > self._listener.max_body_bytes:
            raise self._too_large()
        self._body.append(data)
        # A byte now and then must not keep a request open for ever.
        idle_until = self._listener.now() + self._listener.idle_timeout_s
        self.deadline = min(idle_until, self._complete_by)

    def _too_large(self) -> HttpError:
        limit = self._listener.max_body_bytes
        return HttpError(
            413, "body_too_large", f"request: the body is over {limit} bytes; send less"
        )

    def on_message_complete(self) -> None:
        """A whole request."""
        method = self._parser.get_method()
        path, query = split_target(self._url)
        if method == b"CONNECT":
            # The parser takes it for an upgrade, which it would be again when read anew.
            message = "request: CONNECT is for proxies, which this is not; use GET or POST"
            raise HttpError(405, "method_not_allowed", message)
        if self._foreign_upgrade():
            # The parser takes what follows for the other protocol, the body too.
            self._offered = request_head(method, self._url, self._headers, without=b"upgrade")
            return
        request = Request(
            method=method.decode(),
            path=path,
            query=query,
            headers=self._headers,
            body=self._body[0] if len(self._body) == 1 else b"".join(self._body),
            keep_alive=self._parser.should_keep_alive(),
            takes_chunks=self._parser.get_http_version() != "1.0",
        )
        self._receiving = False
        self._waiting.append(request)
        if len(self._waiting) > PIPELINE_LIMIT:
            self.transport.pause_reading()
        if self._task is None:
            self._next()

    # --- requests

    def _next(self) -> None:
        request = self._waiting.popleft()
        if len(self._waiting) == PIPELINE_LIMIT:
            self.transport.resume_reading()
        self.deadline = float("inf")
        self._task = self._loop.create_task(self._serve(Exchange(self, request)))

    async def _serve(self, exchange: Exchange) -> None:
        try:
            await self._listener.handle(exchange)
        finally:
            self._task = None
            if not self._upgraded:
                self._after(exchange)

    def _after(self, exchange: Exchange) -> None:
        if not exchange.finished or not exchange.keep_alive or self._listener.closing:
            self.transport.close()
        elif self._waiting:
            self._next()
        else:
            self.deadline = self._listener.now() + self._listener.idle_timeout_s

    def upgrade(self, to: Upgrade) -> bytes:
        """Hand the connection over; what the client has sent beyond the request."""
        self._upgraded = to
        self.deadline = float("inf")
        return self._rest

    def close_if_idle(self) -> None:
        """End the connection unless a request is being received or answered."""
        if self._task is None and not self._receiving and self._upgraded is None:
            self.transport.close()

    def expire(self) -> None:
        """End a connection that was silent for too long, or whose client takes nothing."""
        if self._drained:
            self._expire_writing()
        elif self._receiving:
            message = "request: not complete in time; send it faster"
            self._refuse(HttpError(408, "request_timeout", message))
        else:
            self.transport.close()

    def _expire_writing(self) -> None:
        """Go on while the client takes something, however slowly."""
        left = self.transport.get_write_buffer_size()
        if left < self._untaken_bytes:
            self._untaken_bytes = left
            self.deadline = self._listener.now() + self._listener.idle_timeout_s
        else:
            # Closing would wait for the client to take what is left.
            self.transport.abort()

    def _refuse(self, error: HttpError) -> None:
        """Answer what can't be read further, and close."""
        self._refused = True
        if self._task is None and not self.transport.is_closing():
            body = error.body()
            head = response_head(
                error.status, JSON, length=len(body), headers=error.headers, keep_alive=False
            )
            self.transport.write(head + body)
        self.transport.close()
