"""Small real servers that tools live on: HTTP by starlette, MCP by the official server."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from mcp.server.lowlevel import Server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ToolsListChanged
from mcp_types import CallToolRequestParams, CallToolResult, ListToolsResult, TextContent, Tool
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from flagscale_api.runtime.tool_index import INDEX_PATH

BACKLOG = 128


@contextmanager
def serving(app: ASGIApp, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """The base URL of an ASGI application that is served meanwhile."""
    listener = socket.create_server((host, port), backlog=BACKLOG)
    config = uvicorn.Config(
        app, log_config=None, access_log=False, ws="none", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()


def tool(name: str, description: str = "", **schema: Any) -> Tool:
    """A tool as an MCP server offers it; `schema` are its properties."""
    properties = {key: {"type": "string", **value} for key, value in schema.items()}
    words = description or f"Does {name}."
    return Tool(
        name=name,
        description=words,
        input_schema={"type": "object", "properties": properties},
    )


@dataclass
class McpTools:
    """An MCP server whose tools change while it runs; `app` is what is served."""

    tools: list[Tool] = field(default_factory=list)
    token: str = ""
    """What a client must send; empty: nothing."""
    lists: int = 0
    page: int = 1000
    """Tools in one answer."""
    tells: bool = True
    """Whether clients can subscribe to changes."""
    listened: threading.Event = field(default_factory=threading.Event)
    """Set once a client has subscribed."""
    _loop: asyncio.AbstractEventLoop | None = None
    _bus: InMemorySubscriptionBus = field(default_factory=InMemorySubscriptionBus)

    @property
    def app(self) -> ASGIApp:
        """At /mcp."""
        server: Server[Any] = Server(
            "toolbox",
            version="1.2",
            on_list_tools=self._list,
            on_call_tool=self._call,
            on_subscriptions_listen=self._listen if self.tells else None,
        )
        return self._guarded(server.streamable_http_app())

    def change(self, *tools: Tool) -> None:
        """Offer other tools, and tell those who listen; from another thread than the server's."""
        self.tools = list(tools)
        assert self._loop
        telling = self._bus.publish(ToolsListChanged())
        asyncio.run_coroutine_threadsafe(telling, self._loop).result(timeout=10)

    async def _list(self, _: Any, params: Any) -> ListToolsResult:
        self.lists += 1
        start = int((params and params.cursor) or 0)
        end = start + self.page
        more = str(end) if end < len(self.tools) else None
        return ListToolsResult(tools=self.tools[start:end], next_cursor=more)

    async def _listen(self, context: Any, params: Any) -> Any:
        self.listened.set()
        return await ListenHandler(self._bus)(context, params)

    async def _call(self, _: Any, params: CallToolRequestParams) -> CallToolResult:
        return CallToolResult(content=[TextContent(type="text", text=f"called {params.name}")])

    def _guarded(self, app: ASGIApp) -> ASGIApp:
        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            self._loop = asyncio.get_running_loop()
            sent = dict(scope.get("headers", ())).get(b"authorization", b"").decode()
            if scope["type"] == "http" and self.token and sent != f"Bearer {self.token}":
                await send({"type": "http.response.start", "status": 401, "headers": []})
                await send({"type": "http.response.body", "body": b"who are you?"})
                return
            await app(scope, receive, send)

        return guarded


class IndexReplica:
    """What speaks a matcher's side of `GET /v1/index`."""

    def __init__(self) -> None:
        self.report: dict[str, Any] = {"replica": "m-0", "tools": {"a": 1, "b": 2}}
        self.etag = '"1"'
        self.answers: list[int] = []

    @property
    def app(self) -> ASGIApp:
        """At its path alone."""
        return Starlette(routes=[Route(INDEX_PATH, self._answer)])

    async def _answer(self, request: Request) -> Response:
        same = request.headers.get("if-none-match") == self.etag
        self.answers.append(304 if same else 200)
        if same:
            return Response(status_code=304)
        return JSONResponse(self.report, headers={"ETag": self.etag})
