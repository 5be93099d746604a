"""What all posts of pods have in common: a token, a JSON body, and how a refusal is told."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web

from flagscale_operator.progress.gate import JobPace
from flagscale_operator.progress.protocol import BODY_LIMIT, Refused

READ_TIMEOUT_S: Final = 10.0


class Posts(ABC):
    """Answers the posts of one route, whose path has a namespace and a name."""

    def __init__(self, on_post: Callable[[int], None]) -> None:
        """`on_post` hears the status of every answer."""
        self._on_post = on_post
        self._pace = JobPace(clock=asyncio.get_running_loop().time)

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one post; bodies and tokens are never logged."""
        namespace, name = request.match_info["namespace"], request.match_info["name"]
        try:
            answer = await self._accept(request, namespace, name)
        except Refused as refused:
            self._on_post(refused.status)
            return refusal(refused)
        self._on_post(200)
        return web.json_response(answer)

    @abstractmethod
    async def _accept(self, request: web.Request, namespace: str, name: str) -> dict[str, Any]:
        """Take the post in; the body of the answer. Raises Refused."""


async def read_post(request: web.Request) -> tuple[str, bytes]:
    """Bearer token and body.

    Raises:
        Refused: 401, 408, 413 or 415.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise Refused(401, "Authorization: no bearer token; send the projected one")
    if request.content_type != "application/json":
        msg = f"Content-Type: must be application/json, got {request.content_type}"
        raise Refused(415, msg)
    return token.strip(), await _body(request)


async def _body(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(READ_TIMEOUT_S):
            return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise Refused(413, f"body: is too large; at most {BODY_LIMIT} bytes") from error
    except TimeoutError as error:
        raise Refused(408, f"body: not complete after {READ_TIMEOUT_S:.0f} s") from error


def refusal(refused: Refused) -> web.Response:
    """The answer to a post that is refused."""
    headers = {"Retry-After": str(refused.retry_after_s)} if refused.retry_after_s else None
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": refused.message,
        "code": refused.status,
    }
    response = web.json_response(body, status=refused.status, headers=headers)
    if refused.status in (408, 413):
        response.force_close()
    return response
