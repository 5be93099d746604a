"""The HTTP side: REST and MCP behind one door."""

import logging
import re
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from flagscale_api.runtime.tool_index import INDEX_PATH
from flagscale_workloads.agent.service.core import ToolService
from flagscale_workloads.agent.service.door import Door, Entrance, refusal
from flagscale_workloads.agent.service.errors import ServiceError
from flagscale_workloads.agent.service.exchange import exchange_of
from flagscale_workloads.agent.service.mcp_door import McpDoor
from flagscale_workloads.agent.service.messages import (
    AssignRequest,
    CallBody,
    CategoryRequest,
    ListRequest,
    MatchRequest,
    RenameRequest,
    parsed,
)
from flagscale_workloads.agent.service.openapi import document
from flagscale_workloads.agent.service.outcome import Outcome
from flagscale_workloads.agent.service.readiness import Readiness

_log = logging.getLogger(__name__)
MCP_PATH: Final = "/mcp"
Handler = Callable[[Request], Awaitable[Response]]


class ServiceApp:
    """Routes of one service."""

    def __init__(
        self,
        service: ToolService,
        mcp: McpDoor,
        readiness: Readiness,
        registry: CollectorRegistry,
        entrance: Entrance,
        report: Callable[[], tuple[bytes, str]],
        *,
        version: str,
    ) -> None:
        self._service = service
        self._mcp = mcp
        self._readiness = readiness
        self._registry = registry
        self._entrance = entrance
        self._report = report
        self._openapi = document(version, tokens=not entrance.local)

    def application(
        self, lifespan: Callable[[Starlette], AbstractAsyncContextManager[None]]
    ) -> Starlette:
        """The ASGI application."""
        routes = [
            Route("/health", self.health),
            Route("/ready", self.ready),
            Route("/metrics", self.metrics),
            Route("/openapi.json", self.openapi),
            Route("/v1/tools:match", self.match, methods=["POST"]),
            Route("/v1/tools:explain", self.explain, methods=["POST"]),
            Route("/v1/tools", self.list_tools),
            Route("/v1/tools/{namespace}/{name}:call", self.call, methods=["POST"]),
            Route("/v1/tools/{namespace}/{name}", self.describe),
            Route("/v1/categories", self.categories),
            Route("/v1/categories:assign", self.assign_category, methods=["POST"]),
            Route("/v1/categories:rename", self.rename_category, methods=["POST"]),
            Route("/v1/categories:remove", self.remove_category, methods=["POST"]),
            Route(INDEX_PATH, self.index),
            Route(MCP_PATH, self._mcp.app),
        ]
        handlers: dict[Any, Any] = {
            ServiceError: _refused,
            HTTPException: _http_error,
            Exception: _failed,
        }
        middleware = [Middleware(Door, entrance=self._entrance)]
        return Starlette(
            routes=routes, exception_handlers=handlers, middleware=middleware, lifespan=lifespan
        )

    async def health(self, _: Request) -> Response:
        """200 while the process works."""
        return JSONResponse({"status": "ok"})

    async def ready(self, _: Request) -> Response:
        """200 once all tools that there were at the start can be found, until the end is near."""
        state = self._readiness.state()
        return JSONResponse({"status": state}, status_code=200 if state == "ready" else 503)

    async def metrics(self, _: Request) -> Response:
        """Prometheus' text format."""
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)

    async def openapi(self, _: Request) -> Response:
        """What this service answers."""
        return JSONResponse(self._openapi)

    async def match(self, http: Request) -> Response:
        """POST /v1/tools:match."""
        request = parsed(MatchRequest, await http.body())
        return JSONResponse(await self._service.match(exchange_of(http), request))

    async def explain(self, http: Request) -> Response:
        """POST /v1/tools:explain."""
        request = parsed(MatchRequest, await http.body())
        return JSONResponse(await self._service.explain(exchange_of(http), request))

    async def describe(self, http: Request) -> Response:
        """GET /v1/tools/{namespace}/{name}."""
        return JSONResponse(await self._service.describe(exchange_of(http), *_named(http)))

    async def list_tools(self, http: Request) -> Response:
        """GET /v1/tools."""
        asked: dict[str, Any] = dict(http.query_params)
        # Digits of other scripts are none to `int`, and neither are thousands of them.
        if re.fullmatch("[0-9]{1,9}", asked.get("limit", "")):
            asked["limit"] = int(asked["limit"])
        request = parsed(ListRequest, asked)
        return JSONResponse(await self._service.list_tools(exchange_of(http), request))

    async def categories(self, http: Request) -> Response:
        """GET /v1/categories."""
        return JSONResponse(await self._service.categories(exchange_of(http)))

    async def assign_category(self, http: Request) -> Response:
        """POST /v1/categories:assign."""
        request = parsed(AssignRequest, await http.body())
        return JSONResponse(await self._service.assign_category(exchange_of(http), request))

    async def rename_category(self, http: Request) -> Response:
        """POST /v1/categories:rename."""
        asked = parsed(RenameRequest, await http.body())
        own = exchange_of(http)
        return JSONResponse(await self._service.rename_category(own, asked.category, asked.to))

    async def remove_category(self, http: Request) -> Response:
        """POST /v1/categories:remove."""
        asked = parsed(CategoryRequest, await http.body())
        return JSONResponse(
            await self._service.rename_category(exchange_of(http), asked.category, "")
        )

    async def index(self, http: Request) -> Response:
        """GET /v1/index."""
        body, tag = self._report()
        if http.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"etag": tag})
        return Response(body, media_type="application/json", headers={"etag": tag})

    async def call(self, http: Request) -> Response:
        """POST /v1/tools/{namespace}/{name}:call."""
        body = parsed(CallBody, await http.body())
        exchange = exchange_of(http)
        outcome = await self._service.call(exchange, *_named(http), body.arguments)
        return JSONResponse(_shown(outcome))


def _named(http: Request) -> tuple[str, str]:
    return http.path_params["namespace"], http.path_params["name"]


def _shown(outcome: Outcome) -> dict[str, Any]:
    return {
        "is_error": outcome.is_error,
        "text": outcome.text,
        "structured": outcome.structured,
        "content": [block.model_dump(mode="json", by_alias=True) for block in outcome.blocks],
        "status": outcome.status or None,
        "attempts": outcome.attempts,
        "took_ms": round(outcome.took_ms, 3),
    }


async def _refused(_: Request, error: ServiceError) -> Response:
    return refusal(error)


async def _http_error(http: Request, error: HTTPException) -> Response:
    message = f"{http.method} {http.url.path[:200]}: {error.detail}; see /openapi.json"
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "invalid_request")
    answer = refusal(ServiceError(error.status_code, code, message))
    answer.headers.update(error.headers or {})
    return answer


async def _failed(_: Request, error: Exception) -> Response:
    _log.error("a request failed", exc_info=error)
    message = "service: an error of its own; see its log, report it"
    return refusal(ServiceError(500, "internal_error", message))
