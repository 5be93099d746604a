"""Real tools on loopback: an HTTP API, and an MCP server of the official package."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from mcp.server import MCPServer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp


@dataclass
class Seen:
    """Requests as the HTTP tool got them."""

    requests: list[dict[str, Any]] = field(default_factory=list)
    failures_left: int = 0


class QuietServer(uvicorn.Server):
    """Signals are for the tests."""

    async def up(self) -> None:
        """Until it answers."""
        while True:
            if self.started:
                return
            await asyncio.sleep(0.01)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing is captured."""
        yield


@asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[str]:
    """The application at a free port; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1)
        server = QuietServer(config)
        running = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            await server.up()
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await running


def http_tool(seen: Seen) -> Starlette:
    """Answers with what it was sent, or as the path says."""
    every = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    app = Starlette(
        routes=[
            Route("/redirect", _redirect, methods=every),
            Route("/big", _big),
            Route("/slow", _slow, methods=every),
            Route("/binary", _binary),
            Route("/missing", _missing),
            Route("/{rest:path}", _echo, methods=every),
        ]
    )
    app.state.seen = seen
    return app


async def _echo(request: Request) -> Response:
    seen, body = request.app.state.seen, await request.body()
    shown = {
        "method": request.method,
        "path": request.url.path,
        "raw_path": request.scope["raw_path"].decode(),
        "query": request.query_params.multi_items(),
        "headers": dict(request.headers),
        "body": body.decode(),
    }
    seen.requests.append(shown)
    if seen.failures_left:
        seen.failures_left -= 1
        return JSONResponse({"error": "busy"}, status_code=503)
    return JSONResponse(shown)


async def _redirect(request: Request) -> Response:
    request.app.state.seen.requests.append({"path": request.url.path})
    return RedirectResponse(request.query_params["to"], status_code=307)


async def _big(request: Request) -> Response:
    return Response(b"x" * int(request.query_params["bytes"]), media_type="text/plain")


async def _slow(_: Request) -> Response:
    await asyncio.sleep(30)
    return Response("late")


async def _binary(_: Request) -> Response:
    return Response(b"\x00\x01", media_type="application/octet-stream")


async def _missing(_: Request) -> Response:
    return JSONResponse({"detail": "no such city"}, status_code=404)


def mcp_tool() -> Starlette:
    """An MCP server with three tools, at /mcp."""
    server = MCPServer("arithmetic")

    @server.tool()
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    @server.tool()
    def fail() -> str:
        """Fail always."""
        msg = "out of order"
        raise ValueError(msg)

    @server.tool()
    def flood(size: int) -> str:
        """Answer with much text."""
        return "x" * size

    return server.streamable_http_app()
