"""The HTTPS server that training pods report to."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from flagscale_operator.progress.board import ProgressBoard
from flagscale_operator.progress.gate import ConnectionGate
from flagscale_operator.progress.progress_posts import JobExists, OnPost, ProgressPosts
from flagscale_operator.progress.protocol import BODY_LIMIT, PATH
from flagscale_operator.progress.tls import Certificates
from flagscale_operator.progress.tokens import TokenChecker

_log = logging.getLogger(__name__)
KEEPALIVE_S = 75.0
RENEW_CHECK_S = 3600.0


@asynccontextmanager
async def serve_progress(
    *,
    board: ProgressBoard,
    tokens: TokenChecker,
    certificates: Certificates,
    port: int,
    on_post: OnPost,
    job_exists: JobExists | None = None,
    routes: Iterable[web.RouteDef] = (),
    client_ca_pem: str | None = None,
    host: str | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> AsyncIterator[int]:
    """Serve while the block runs; yields the port, which the system chooses for port 0.

    `routes` are served beside the posts of training pods. With `client_ca_pem` a client may show a
    certificate of that authority.
    """
    context = _server_context(client_ca_pem)
    renew_at = certificates.load_into(context, now=clock())
    gate = ConnectionGate()
    posts = ProgressPosts(board, tokens, on_post=on_post, job_exists=job_exists)
    app = web.Application(client_max_size=BODY_LIMIT, middlewares=[_speaking(gate)])
    app.router.add_post(PATH, posts.handle)
    app.router.add_routes(routes)
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


def _server_context(client_ca_pem: str | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if client_ca_pem:
        context.load_verify_locations(cadata=client_ca_pem)
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _speaking(gate: ConnectionGate) -> Middleware:
    @web.middleware
    async def speaking(request: web.Request, handler: Handler) -> web.StreamResponse:
        gate.spoke(request)
        return await handler(request)

    return speaking


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
