"""Metrics and probes over plain HTTP, each on its own port."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

Check = Callable[[], str | None]


def _probe(check: Check) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_: web.Request) -> web.Response:
        problem = check()
        return web.Response(text=problem or "ok", status=503 if problem else 200)

    return answer


@asynccontextmanager
async def serve_telemetry(
    registry: CollectorRegistry,
    *,
    metrics_port: int,
    probe_port: int,
    healthy: Check,
    ready: Check,
) -> AsyncIterator[None]:
    """Serve /metrics, /healthz and /readyz; a check answers None or what is wrong."""

    async def metrics(_: web.Request) -> web.Response:
        headers = {"Content-Type": CONTENT_TYPE_LATEST}
        return web.Response(body=generate_latest(registry), headers=headers)

    scraped, probed = web.Application(), web.Application()
    scraped.router.add_get("/metrics", metrics)
    probed.router.add_get("/healthz", _probe(healthy))
    probed.router.add_get("/readyz", _probe(ready))
    runners = []
    try:
        for app, port in ((scraped, metrics_port), (probed, probe_port)):
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            runners.append(runner)
            await web.TCPSite(runner, port=port).start()
        yield
    finally:
        for runner in runners:
            await runner.cleanup()
