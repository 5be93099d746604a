"""The HTTPS server that training pods report to."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

from aiohttp import web

from flagscale_operator.progress.board import ProgressBoard
from flagscale_operator.progress.gate import ConnectionGate, JobPace
from flagscale_operator.progress.protocol import BODY_LIMIT, PATH, Refused, parse_report
from flagscale_operator.progress.tls import Certificates
from flagscale_operator.progress.tokens import TokenChecker

_log = logging.getLogger(__name__)
READ_TIMEOUT_S = 10.0
KEEPALIVE_S = 75.0
RENEW_CHECK_S = 3600.0
OnPost = Callable[[int], None]
JobExists = Callable[[str, str], bool]


@asynccontextmanager
async def serve_progress(
    *,
    board: ProgressBoard,
    tokens: TokenChecker,
    certificates: Certificates,
    port: int,
    on_post: OnPost,
    job_exists: JobExists | None = None,
    host: str | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> AsyncIterator[int]:
    """Serve while the block runs; yields the port, which the system chooses for port 0."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    renew_at = certificates.load_into(context, now=clock())
    gate = ConnectionGate()
    posts = _Posts(board, tokens, gate, on_post=on_post, job_exists=job_exists)
    app = web.Application(client_max_size=BODY_LIMIT)
    app.router.add_post(PATH, posts.handle)
    runner = web.AppRunner(
        app, access_log=None, keepalive_timeout=KEEPALIVE_S, shutdown_timeout=2.0
    )
    await runner.setup()
    server = await gate.listen(runner, host=host, port=port, context=context)
    renewing = asyncio.create_task(_renew(certificates, context, renew_at, clock))
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        renewing.cancel()
        with suppress(asyncio.CancelledError):
            await renewing
        server.close()
        await runner.cleanup()


async def _renew(
    certificates: Certificates,
    context: ssl.SSLContext,
    renew_at: datetime,
    clock: Callable[[], datetime],
) -> None:
    while True:
        await asyncio.sleep(RENEW_CHECK_S)
        if clock() >= renew_at:
            renew_at = certificates.load_into(context, now=clock())
            _log.info("progress server: new certificate, next at %s", renew_at.isoformat())


class _Posts:
    """Handles the one route."""

    def __init__(
        self,
        board: ProgressBoard,
        tokens: TokenChecker,
        gate: ConnectionGate,
        *,
        on_post: OnPost,
        job_exists: JobExists | None,
    ) -> None:
        self._board = board
        self._tokens = tokens
        self._gate = gate
        self._on_post = on_post
        self._job_exists = job_exists
        self._pace = JobPace(clock=asyncio.get_running_loop().time)

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one post; bodies and tokens are never logged."""
        self._gate.spoke(request)
        namespace, name = request.match_info["namespace"], request.match_info["name"]
        try:
            await self._accept(request, namespace, name)
        except Refused as refused:
            self._on_post(refused.status)
            return _status(refused)
        self._on_post(200)
        asked = self._board.checkpoint_requested(namespace, name)
        return web.json_response({"request": "checkpoint"} if asked else {})

    async def _accept(self, request: web.Request, namespace: str, name: str) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise Refused(401, "Authorization: no bearer token; send the projected one")
        if request.content_type != "application/json":
            msg = f"Content-Type: must be application/json, got {request.content_type}"
            raise Refused(415, msg)
        body = await _body(request)
        attempt = await self._tokens.attempt_of(token.strip(), namespace=namespace, name=name)
        if self._job_exists and not self._job_exists(namespace, name):
            raise Refused(404, f"TrainJob: does not exist, got {namespace}/{name}")
        self._pace.take(namespace, name)
        self._board.put(namespace, name, attempt=attempt, report=parse_report(body))


async def _body(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(READ_TIMEOUT_S):
            return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise Refused(413, f"body: is too large; at most {BODY_LIMIT} bytes") from error
    except TimeoutError as error:
        raise Refused(408, f"body: not complete after {READ_TIMEOUT_S:.0f} s") from error


def _status(refused: Refused) -> web.Response:
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
