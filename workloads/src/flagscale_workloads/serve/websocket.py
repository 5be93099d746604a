"""Chat over a WebSocket: many requests on one connection, each with its id, each can be cancelled.

Frames are JSON objects. The client sends `{"type": "request", "id": ID, "body": {...}}`, where the
body is what POST /v1/chat/completions takes, and `{"type": "cancel", "id": ID}`. The gateway sends
`event` (one chunk of a stream, in `data`) and then `done`; or `response` (a whole answer, in
`data`); or `error`; or `cancelled`; each with the id. Close code 1012 means: connect again.
"""

import asyncio
import base64
import hashlib
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import orjson
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from flagscale_workloads.serve.calls import invalid, parse_object
from flagscale_workloads.serve.http.exchange import Exchange
from flagscale_workloads.serve.http.messages import Headers, HttpError, Request

if TYPE_CHECKING:
    from flagscale_workloads.serve.gateway import Gateway

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_VERSION: Final = b"13"
CONCURRENT_REQUESTS: Final = 64
ID_CHARACTERS: Final = 128
PING_INTERVAL_S: Final = 20.0
UNREAD_LIMIT_BYTES: Final = 16 * 1024 * 1024
SERVICE_RESTART: Final = 1012
PROTOCOL_ERROR: Final = 1002
TOO_BIG: Final = 1009
UNSUPPORTED: Final = 1003
SILENT: Final = 1001


def wants_websocket(request: Request) -> bool:
    """Whether a request asks for the upgrade. Raises HttpError 400 when it asks wrongly."""
    if request.headers.get(b"upgrade", b"").lower() != b"websocket":
        return False
    headers = request.headers
    if headers.get(b"sec-websocket-version") != _VERSION or b"sec-websocket-key" not in headers:
        message = "upgrade: needs Sec-WebSocket-Version 13 and Sec-WebSocket-Key; send both"
        raise HttpError(400, "bad_upgrade", message)
    return request.method == "GET"


def _accept(request: Request) -> bytes:
    key = request.headers[b"sec-websocket-key"]
    proof = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
        b"sec-websocket-accept: " + proof + b"\r\n\r\n"
    )


class WebSocketSession:
    """One connection after its upgrade."""

    def __init__(
        self,
        exchange: Exchange,
        gateway: "Gateway",
        *,
        endpoint: str,
        limit_bytes: int,
    ) -> None:
        self._exchange = exchange
        self._gateway = gateway
        self._endpoint = endpoint
        self._limit_bytes = limit_bytes
        self._ws = Connection(ConnectionType.SERVER)
        self._parts: list[str] = []
        self._size = 0
        self._messages: deque[str] = deque()
        self._woken = asyncio.Event()
        self._closed = False
        self._heard = True
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Until either side closes; what still runs then is cancelled."""
        self._exchange.transport.write(_accept(self._exchange.request))
        if rest := self._exchange.upgrade(self):
            self.data_received(rest)
        try:
            while not self._closed:
                await self._listen()
                while self._messages:
                    self._take(self._messages.popleft())
        finally:
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._exchange.transport.close()

    async def _listen(self) -> None:
        """Until a message comes; a client that answers no ping is gone."""
        self._woken.clear()
        try:
            async with asyncio.timeout(PING_INTERVAL_S):
                await self._woken.wait()
        except TimeoutError:
            if not self._heard:
                self.close(SILENT, "no answer to a ping")
                return
            self._heard = False
            self._send(Ping())

    # --- the client's bytes

    def data_received(self, data: bytes) -> None:
        """Bytes of the client; what it does not read must not pile up while it sends on."""
        if self._exchange.transport.get_write_buffer_size() > UNREAD_LIMIT_BYTES:
            self._exchange.transport.abort()
            return
        self._heard = True
        try:
            self._ws.receive_data(data)
            for event in self._ws.events():
                self._receive(event)
        except RemoteProtocolError:
            self.close(PROTOCOL_ERROR, "not a valid frame")

    def connection_lost(self) -> None:
        """The client is gone; `run` is cancelled by the connection."""
        self._closed = True

    def _receive(self, event: object) -> None:
        if isinstance(event, TextMessage):
            self._text(event)
        elif isinstance(event, BytesMessage):
            self.close(UNSUPPORTED, "send text frames")
        elif isinstance(event, Ping):
            self._send(event.response())
        elif isinstance(event, CloseConnection):
            self._send(event.response())
            self._end()

    def _text(self, event: TextMessage) -> None:
        self._size += len(event.data)
        if self._size > self._limit_bytes:
            self.close(TOO_BIG, f"a message is over {self._limit_bytes} bytes")
            return
        if event.data:
            self._parts.append(event.data)
        if event.message_finished:
            self._messages.append("".join(self._parts))
            self._parts.clear()
            self._size = 0
            self._woken.set()

    def _send(self, event: Event) -> None:
        try:
            self._exchange.transport.write(self._ws.send(event))
        except LocalProtocolError:
            # The closing handshake has begun: nothing more can be said.
            return

    def close(self, code: int, reason: str) -> None:
        """Say why and end."""
        if not self._closed:
            self._send(CloseConnection(code, reason))
            self._end()

    def _end(self) -> None:
        self._closed = True
        self._woken.set()

    @property
    def busy(self) -> bool:
        """Whether a request runs."""
        return bool(self._tasks)

    # --- requests

    def _take(self, text: str) -> None:
        id_ = None
        try:
            frame = parse_object(text.encode())
            id_ = frame.get("id")
            if not isinstance(id_, str) or not 0 < len(id_) <= ID_CHARACTERS:
                id_ = None
                raise invalid("id", f"must be a string of 1 to {ID_CHARACTERS}", frame.get("id"))
            self._dispatch(frame, id_)
        except HttpError as error:
            self.frame("error", id_, error.body(), status=error.status)

    def _dispatch(self, frame: dict[str, Any], id_: str) -> None:
        match frame.get("type"):
            case "cancel":
                if task := self._tasks.get(id_):
                    task.cancel()
            case "request":
                self._start(frame, id_)
            case other:
                raise invalid("type", 'must be "request" or "cancel"', other)

    def _start(self, frame: dict[str, Any], id_: str) -> None:
        if id_ in self._tasks:
            raise invalid("id", "is in use by a running request", id_)
        if len(self._tasks) >= CONCURRENT_REQUESTS:
            message = f"websocket: {CONCURRENT_REQUESTS} requests are running; wait for one"
            raise HttpError(429, "too_many_requests", message)
        if not isinstance(frame.get("body"), dict):
            raise invalid("body", "must be an object", frame.get("body"))
        task = asyncio.create_task(self._answer(id_, orjson.dumps(frame["body"])))
        self._tasks[id_] = task
        task.add_done_callback(lambda _: self._tasks.pop(id_, None))

    async def _answer(self, id_: str, body: bytes) -> None:
        gateway, sink = self._gateway, FrameSink(self, id_)
        request, started_at = self._exchange.request, gateway.now()
        try:
            # Asked for each time: a key may have been taken back since the handshake.
            client = gateway.client_of(request)
            await gateway.answer(self._endpoint, request, body, client, sink, started_at)
        except HttpError as error:
            sink.fail(error)
        except asyncio.CancelledError:
            sink.status = 499
            self.frame("cancelled", id_)
            raise
        finally:
            gateway.metrics.request(self._endpoint, sink.status, gateway.now() - started_at)

    def frame(
        self, type_: str, id_: str | None, data: bytes | None = None, *, status: int | None = None
    ) -> None:
        """Send one frame; `data` is JSON already, and an error document is unwrapped."""
        if self._closed:
            return
        head = orjson.dumps({"type": type_, "id": id_} | ({"status": status} if status else {}))
        if data is None:
            text = head
        elif type_ == "error":
            # {"error": {...}} -> "error": {...}
            text = head[:-1] + b"," + data.strip()[1:]
        else:
            text = head[:-1] + b',"data":' + data + b"}"
        self._send(TextMessage(text.decode()))

    async def drained(self) -> None:
        """Until the client has taken what was written."""
        await self._exchange.drained()


class FrameSink:
    """Turns an answer into frames."""

    def __init__(self, session: WebSocketSession, id_: str) -> None:
        self._session = session
        self._id = id_
        self._rest = b""
        self._failed = False
        self.status = 0

    def send(self, status: int, content_type: bytes, body: bytes, headers: Headers = ()) -> None:
        """A whole answer."""
        self.status = status
        type_ = "response" if status < 400 else "error"
        self._session.frame(type_, self._id, body, status=status)

    def start(self, status: int, content_type: bytes, headers: Headers = ()) -> None:
        """A stream begins."""
        self.status = status

    def write(self, data: bytes) -> None:
        """A piece of a stream of events, cut anywhere."""
        *events, self._rest = (self._rest + data).split(b"\n\n")
        for event in events:
            payload = event.removeprefix(b"data:").strip()
            if event.startswith(b"data:") and payload != b"[DONE]":
                self._failed |= payload.startswith(b'{"error"')
                type_ = "error" if payload.startswith(b'{"error"') else "event"
                self._session.frame(type_, self._id, payload)

    async def drained(self) -> None:
        """Until the client has taken what was written."""
        await self._session.drained()

    def finish(self, last: bytes = b"") -> None:
        """The stream ends; `done` only when it ended well."""
        self.write(last)
        if not self._failed:
            self._session.frame("done", self._id)

    def fail(self, error: HttpError) -> None:
        """A refusal."""
        self.status = error.status
        self._session.frame("error", self._id, error.body(), status=error.status)
