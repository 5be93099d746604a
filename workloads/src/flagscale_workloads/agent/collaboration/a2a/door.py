"""What every request to an agent passes: a token, and a limit on its body."""

import hmac
import json
from dataclasses import dataclass
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

OPEN: Final = "/.well-known/"
"""Cards are public: a caller reads there how to come in."""


@dataclass(frozen=True, slots=True)
class Door:
    """ASGI middleware."""

    app: ASGIApp
    token: str
    max_bytes: int

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if not self._known(scope["path"], headers.get(b"authorization", b"")):
            await _refuse(send, 401, "authorization: missing or wrong; send the bearer token")
            return
        body = await self._body(receive)
        if body is None:
            await _refuse(send, 413, f"body: too long; send at most {self.max_bytes} bytes")
            return
        rest = [body]

        async def replay() -> Message:
            if rest:
                return {"type": "http.request", "body": rest.pop(), "more_body": False}
            return await receive()

        await self.app(scope, replay, send)

    def _known(self, path: str, authorization: bytes) -> bool:
        expected = f"Bearer {self.token}".encode()
        return (
            not self.token or path.startswith(OPEN) or hmac.compare_digest(authorization, expected)
        )

    async def _body(self, receive: Receive) -> bytes | None:
        """All of it; None when it is too long."""
        chunks, size = [], 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return b""
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if size > self.max_bytes:
                return None
            if not message.get("more_body"):
                return b"".join(chunks)


async def _refuse(send: Send, status: int, text: str) -> None:
    body = json.dumps({"error": text}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
