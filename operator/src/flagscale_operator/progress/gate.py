"""What keeps a misbehaving pod from taking the progress server from the others."""

import asyncio
import ssl
from collections.abc import Callable

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from flagscale_operator.progress.expiring import Expiring
from flagscale_operator.progress.protocol import Refused

CONNECTIONS = 4096
FIRST_REQUEST_S = 10.0
HANDSHAKE_S = 10.0
BACKLOG = 1024
POSTS_PER_S = 5.0
POSTS_BURST = 20.0
JOBS = 20_000


class ConnectionGate:
    """Bounds the number of connections, and the time until each sends its first request."""

    def __init__(self, *, limit: int = CONNECTIONS, patience_s: float = FIRST_REQUEST_S) -> None:
        self._limit = limit
        self._patience_s = patience_s
        self._silent: dict[int, asyncio.TimerHandle] = {}

    async def listen(
        self, runner: web.AppRunner, *, host: str | None, port: int, context: ssl.SSLContext | None
    ) -> asyncio.Server:
        """Accept connections for the runner's application; plain ones without a context."""
        handlers = runner.server
        if handlers is None:
            msg = "ConnectionGate.listen: the runner is not set up; await runner.setup()"
            raise RuntimeError(msg)
        loop = asyncio.get_running_loop()

        def admit() -> asyncio.BaseProtocol:
            if max(len(handlers.connections), len(self._silent)) >= self._limit:
                return _Refusing()
            handler = handlers()
            key = id(handler)
            self._silent[key] = loop.call_later(self._patience_s, self._give_up, key, handler)
            return handler

        patience = HANDSHAKE_S if context else None
        return await loop.create_server(
            admit, host, port, ssl=context, backlog=BACKLOG, ssl_handshake_timeout=patience
        )

    def spoke(self, request: web.Request) -> None:
        """The connection of this request is alive."""
        timer = self._silent.pop(id(request.protocol), None)
        if timer:
            timer.cancel()

    def _give_up(self, key: int, handler: RequestHandler) -> None:
        self._silent.pop(key, None)
        handler.force_close()


class _Refusing(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close: too many are open."""
        transport.close()


class JobPace:
    """A token bucket per job."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._buckets: Expiring[tuple[str, str], tuple[float, float]] = Expiring(
            ttl_s=POSTS_BURST / POSTS_PER_S, capacity=JOBS, clock=clock
        )

    def take(self, namespace: str, name: str) -> None:
        """Count one post.

        Raises:
            Refused: 429, the job posts too often.
        """
        now = self._clock()
        left, at = self._buckets.get((namespace, name)) or (POSTS_BURST, now)
        left = min(POSTS_BURST, left + (now - at) * POSTS_PER_S)
        if left < 1:
            msg = f"posts: too many for one job; at most {POSTS_PER_S:.0f} per second"
            raise Refused(429, msg, retry_after_s=1)
        self._buckets.put((namespace, name), (left - 1, now))
