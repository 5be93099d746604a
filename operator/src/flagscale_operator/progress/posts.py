"""What all posts of pods have in common: a token, a JSON body, and how a refusal is told."""

import asyncio
from typing import Final

from aiohttp import web

from flagscale_operator.progress.protocol import BODY_LIMIT, Refused

READ_TIMEOUT_S: Final = 10.0


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
