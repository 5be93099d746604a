"""Ready means that a real token was generated: what an engine's own health check can't tell."""

import asyncio
from typing import Final

import orjson

from flagscale_workloads.backends.adapter import Capabilities
from flagscale_workloads.serve.http.upstream import Timeouts, UpstreamError
from flagscale_workloads.serve.replicas import Replica

OK: Final = 200
POLL_S: Final = 0.25
LIMIT_BYTES: Final = 64 * 1024 * 1024
# What is asked of an engine, by the first of these features that it has.
_PROBES: Final = (
    ("completions", "/v1/completions", {"prompt": "1", "max_tokens": 1, "temperature": 0}),
    ("chat", "/v1/chat/completions",
     {"messages": [{"role": "user", "content": "1"}], "max_tokens": 1, "temperature": 0}),
    ("embeddings", "/v1/embeddings", {"input": "1"}),
    ("images", "/v1/images/generations",
     {"prompt": "1", "response_format": "b64_json", "steps": 1}),
)  # fmt: skip


class FirstTokenError(Exception):
    """The engine answers, but not with a token; the message has its answer."""


def smallest_request(model: str, capabilities: Capabilities) -> tuple[str, bytes]:
    """Path and body of the smallest request that makes the model compute."""
    _, path, fields = next(p for p in _PROBES if p[0] in capabilities.features)
    return path, orjson.dumps({"model": model, **fields})


def probe_request(model: str, capabilities: Capabilities) -> bytes:
    """The same, as an engine gets it."""
    path, body = smallest_request(model, capabilities)
    head = (
        f"POST {path} HTTP/1.1\r\nhost: engine\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def await_health(replica: Replica, path: str) -> None:
    """Until the engine says that it is healthy; the caller bounds the wait."""
    data = b"GET " + path.encode() + b" HTTP/1.1\r\nhost: engine\r\n\r\n"
    while True:
        try:
            if (await _ask(replica, data, Timeouts(2.0, 2.0, 4.0)))[0] == OK:
                return
        except UpstreamError:
            pass
        await asyncio.sleep(POLL_S)


async def generate_one(replica: Replica, data: bytes, *, timeout_s: float) -> None:
    """Have one token generated. Raises FirstTokenError or UpstreamError."""
    status, body = await _ask(replica, data, Timeouts(timeout_s, timeout_s, timeout_s))
    if status != OK:
        text = body.decode(errors="replace")[:1000]
        msg = f"engine: the first request failed, got status {status}: {text}"
        raise FirstTokenError(msg)


async def _ask(replica: Replica, data: bytes, timeouts: Timeouts) -> tuple[int, bytes]:
    connection = await replica.pool.acquire()
    try:
        connection.request(data, timeouts=timeouts)
        head = await connection.head()
        return head.status, await connection.read_all(LIMIT_BYTES)
    finally:
        replica.pool.release(connection)
