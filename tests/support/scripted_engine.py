"""An engine at the other end of a gateway that misbehaves on command."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

EVENT = b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n'


@dataclass
class ScriptedEngine:
    """Answers each request by the next word of its script, and by "ok" when it has none left.

    ok: an answer; stream: three events and [DONE]; cut: a stream without its end; drop: closes
    before a byte; halves: closes within a body; 500: fails; trace: fails with a traceback; hang:
    says nothing; endless: events until the client goes away; flood: as many events as anybody
    takes.
    """

    script: list[str] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    metrics: str = ""
    """What it says of itself at /metrics."""
    port: int = 0
    connections: int = 0
    """Open ones."""
    sent_bytes: int = 0
    """Of floods, as far as the other side has taken them."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            self.gone.set()
        except asyncio.CancelledError:
            return  # the test's loop ends; asyncio's stream server would report it as an error
        finally:
            self.connections -= 1
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(x.split(b":")[1]) for x in head.split(b"\r\n") if x.startswith(b"content-length")),
            0,
        )
        body = await reader.readexactly(length)
        if head.startswith(b"GET /metrics"):
            data = self.metrics.encode()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(data), data))
            return True
        if head.startswith(b"GET"):
            writer.write(_whole(200, {"status": "ok"}))
            return True
        self.requests.append(head + body)
        return await self._act(self.script.pop(0) if self.script else "ok", reader, writer)

    async def _act(
        self, action: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        if action == "ok":
            usage = {"prompt_tokens": 2, "completion_tokens": 3}
            writer.write(_whole(200, {"port": self.port, "usage": usage}))
        elif action in FAILURES:
            writer.write(FAILURES[action])
        elif action in {"stream", "cut"}:
            end = b"data: [DONE]\n\n" if action == "stream" else b""
            writer.write(_STREAM_HEAD + _chunk(EVENT * 3 + end))
            if action == "stream":
                writer.write(b"0\r\n\r\n")
            await writer.drain()
            return action == "stream"
        elif action == "halves":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
            return False
        elif action == "endless":
            writer.write(_STREAM_HEAD + _chunk(EVENT))
            await reader.readexactly(1)
        elif action == "flood":
            writer.write(_STREAM_HEAD)
            while True:
                writer.write(_chunk(EVENT * 1000))
                await writer.drain()
                self.sent_bytes += len(EVENT) * 1000
        elif action == "hang":
            await reader.readexactly(1)
        return action != "drop"


_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _whole(status: int, body: object) -> bytes:
    data = json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n"
    return head.encode() + b"content-length: %d\r\n\r\n" % len(data) + data


_TRACE = b'Traceback (most recent call last):\n  File "/opt/engine.py", line 1, in f\nKeyError: 1\n'
FAILURES = {
    "500": _whole(500, {"error": {"message": "broken", "type": "server_error"}}),
    "trace": b"HTTP/1.1 503 X\r\ncontent-length: %d\r\n\r\n%b" % (len(_TRACE), _TRACE),
}


@asynccontextmanager
async def scripted_engine(*script: str, metrics: str = "") -> AsyncIterator[ScriptedEngine]:
    """A running engine with this script."""
    engine = ScriptedEngine(list(script), metrics=metrics)
    server = await asyncio.start_server(engine.serve, "127.0.0.1", 0)
    engine.port = server.sockets[0].getsockname()[1]
    try:
        yield engine
    finally:
        server.close()
