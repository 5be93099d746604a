"""What every request passes first: from where, who asks, how often, and its body."""

import asyncio
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flagscale_api.runtime.tool_index import INDEX_PATH
from flagscale_workloads.agent.service.admission import Admission
from flagscale_workloads.agent.service.callers import Authenticator
from flagscale_workloads.agent.service.errors import ServiceError
from flagscale_workloads.agent.service.exchange import FORWARDED, KEY, Exchange

OPEN: Final = frozenset({"/health", "/ready", "/metrics", "/openapi.json", INDEX_PATH})
"""Pages without anything secret."""
BODY_S: Final = 10.0


def refusal(error: ServiceError) -> Response:
    """The answer to a refused request."""
    return Response(
        error.body(), error.status, headers=error.headers(), media_type="application/json"
    )


@dataclass(frozen=True, slots=True)
class Entrance:
    """Who is let in."""

    authenticator: Authenticator
    admission: Admission
    body_bytes: int
    local: bool
    """Nobody is asked for a token: then a web page of a browser here must not get in either."""

    async def exchange(self, headers: Headers) -> Exchange:
        """That of a request. Raises ServiceError."""
        if self.local:
            check_local(headers)
        caller = await self.authenticator.caller(headers.get("authorization"))
        self.admission.take(caller.name)
        trace = {name: headers[name] for name in FORWARDED if name in headers}
        return Exchange(caller, trace)

    async def body(self, receive: Receive) -> bytes:
        """The whole of it. Raises ServiceError 408 or 413."""
        try:
            async with asyncio.timeout(BODY_S):
                return await _read(receive, self.body_bytes)
        except TimeoutError as error:
            message = f"body: not complete within {BODY_S:g} s; send it faster"
            raise ServiceError(408, "request_timeout", message) from error


def check_local(headers: Headers) -> None:
    """A page can make a browser send to loopback, under a name of its own or with its origin.

    Raises:
        ServiceError: 403.
    """
    hosts = [urlsplit(f"//{headers.get('host', '')}").hostname]
    if "origin" in headers:
        hosts.append(urlsplit(headers["origin"]).hostname)
    for host in hosts:
        if not _is_loopback(host or ""):
            message = f"host or origin: only this machine may ask, got {(host or '')[:100]!r}"
            raise ServiceError(403, "forbidden_origin", f"{message}; ask at 127.0.0.1")


class Door:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, entrance: Entrance) -> None:
        self._app = app
        self._entrance = entrance

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        try:
            scope[KEY] = await self._entrance.exchange(Headers(scope=scope))
            body = await self._entrance.body(receive)
        except ServiceError as error:
            await refusal(error)(scope, receive, send)
            return
        await self._app(scope, _replayed(body, receive), send)


async def _read(receive: Receive, limit: int) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return bytes(body)
        body += message.get("body", b"")
        if len(body) > limit:
            told = f"body: at most {limit} bytes, got more; send less"
            raise ServiceError(413, "request_too_large", told)
        if not message.get("more_body", False):
            return bytes(body)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The body that was read, then what follows: that the client goes away."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return waiting.pop() if waiting else await receive()

    return next_message


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
