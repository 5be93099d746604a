"""`python -m perf.mock_engine --port P`: an engine that costs next to nothing per request.

The gateway's benchmarks measure the gateway: answers are fixed bytes, written in one piece where
the protocol allows. A stream has 200 chunks, each written on its own turn of the loop.
"""

import argparse
import asyncio
import json
import signal
from collections.abc import Mapping
from typing import Any, Final, cast

import httptools
import uvloop

MODEL: Final = "mock"
STREAM_CHUNKS: Final = 200


def _response(status: str, body: bytes, kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _chunk(data: bytes) -> bytes:
    """One chunk of the chunked coding."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def _event(delta: Mapping[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {"id": "chatcmpl-0", "object": "chat.completion.chunk", "created": 0, "model": MODEL}
    return b"data: " + json.dumps({**body, "choices": [choice]}).encode() + b"\n\n"


def _unary() -> bytes:
    message = {"role": "assistant", "content": "one two three four five six seven eight"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 8, "completion_tokens": 8, "total_tokens": 16}
    body = {"id": "chatcmpl-0", "object": "chat.completion", "created": 0, "model": MODEL}
    return _response("200 OK", json.dumps({**body, "choices": [choice], "usage": usage}).encode())


UNARY: Final = _unary()
HEALTH: Final = _response("200 OK", b"{}")
MODELS: Final = _response(
    "200 OK", json.dumps({"object": "list", "data": [{"id": MODEL, "object": "model"}]}).encode()
)
NOT_FOUND: Final = _response("404 Not Found", b'{"error":{"message":"not found"}}')
STREAM_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)
STREAM_CHUNK: Final = _chunk(_event({"content": " word"}))
STREAM_END: Final = _chunk(_event({}, "stop") + b"data: [DONE]\n\n") + b"0\r\n\r\n"
CHAT: Final = b"/v1/chat/completions"
GETS: Final[Mapping[bytes, bytes]] = {b"/health": HEALTH, b"/v1/models": MODELS}


class MockConnection(asyncio.Protocol):
    """One connection; requests on it are answered one after the other."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._url = b""
        self._body = b""
        self._remaining = 0
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.close()

    def on_message_begin(self) -> None:
        self._url = self._body = b""

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if self._url != CHAT:
            self._transport.write(GETS.get(self._url, NOT_FOUND))
        elif b'"stream":true' in self._body or b'"stream": true' in self._body:
            self._transport.write(STREAM_HEAD)
            self._remaining = STREAM_CHUNKS
            self._stream()
        else:
            self._transport.write(UNARY)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self._remaining:
            self._stream()

    def _stream(self) -> None:
        if self._paused or self._transport.is_closing():
            return
        self._transport.write(STREAM_CHUNK)
        self._remaining -= 1
        if self._remaining:
            self._loop.call_soon(self._stream)
        else:
            self._transport.write(STREAM_END)


async def serve(host: str, port: int) -> None:
    """Answer until SIGTERM."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    server = await loop.create_server(lambda: MockConnection(loop), host, port, backlog=2048)
    host, port = server.sockets[0].getsockname()[:2]
    print(f"mock engine on {host} port {port}", flush=True)
    await ended.wait()
    server.close()


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(description="A fixed answer to every chat.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    uvloop.run(serve(arguments.host, arguments.port))


if __name__ == "__main__":
    main()
