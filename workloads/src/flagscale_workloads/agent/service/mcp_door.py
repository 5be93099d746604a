"""The service as an MCP server: an agent finds, describes and calls thousands of tools by four."""

import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

from mcp.server import Server, ServerRequestContext
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ToolsListChanged
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ContentBlock,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
    ToolAnnotations,
)
from starlette.requests import Request

from flagscale_workloads.agent.service.core import ToolService
from flagscale_workloads.agent.service.errors import ServiceError
from flagscale_workloads.agent.service.exchange import Exchange, exchange_of
from flagscale_workloads.agent.service.messages import (
    CallRequest,
    DescribeRequest,
    ListRequest,
    MatchRequest,
    parsed,
)
from flagscale_workloads.agent.service.outcome import Outcome

Context = ServerRequestContext[Any, Request]
INSTRUCTIONS: Final = (
    "Ask find_tools for what you need in plain words, describe_tool for the input schema of a hit, "
    "and call_tool to run it. list_tools goes through the tools of a server in a fixed order."
)
_READS: Final = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_CALLS: Final = ToolAnnotations(open_world_hint=True)
_TOOLS: Final = (
    Tool(
        name="find_tools",
        description="Find the tools that answer a request. An empty list means that none fits.",
        input_schema=MatchRequest.model_json_schema(),
        annotations=_READS,
    ),
    Tool(
        name="describe_tool",
        description="Describe one tool: what it does, its input schema, whether it can be called.",
        input_schema=DescribeRequest.model_json_schema(),
        annotations=_READS,
    ),
    Tool(
        name="call_tool",
        description="Call one tool with arguments by its input schema.",
        input_schema=CallRequest.model_json_schema(),
        annotations=_CALLS,
    ),
    Tool(
        name="list_tools",
        description="List tools by server, in a fixed order, page by page.",
        input_schema=ListRequest.model_json_schema(),
        annotations=_READS,
    ),
)


class McpDoor:
    """`app` answers at one path; `changed` tells clients that listen."""

    def __init__(self, service: ToolService, *, version: str, body_bytes: int) -> None:
        self._service = service
        self._bus = InMemorySubscriptionBus()
        self._listening = ListenHandler(self._bus)
        server: Server[Any] = Server(
            "flagscale-tools",
            version=version,
            instructions=INSTRUCTIONS,
            on_list_tools=self._list,
            on_call_tool=self._call,
            on_subscriptions_listen=self._listening,
        )
        # Without sessions any replica answers any request. Clients of before 2026-07-28 are served
        # too, but can't be told of changes: that would need a session.
        self.manager = StreamableHTTPSessionManager(
            server, stateless=True, max_request_body_size=body_bytes
        )
        self.app = StreamableHTTPASGIApp(self.manager)

    async def changed(self) -> None:
        """The tools that can be found are no longer the same."""
        await self._bus.publish(ToolsListChanged())

    def close(self) -> None:
        """End the streams of listening clients, as the protocol wants it."""
        self._listening.close()

    async def _list(self, _: Context, __: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=list(_TOOLS))

    async def _call(self, context: Context, params: CallToolRequestParams) -> CallToolResult:
        known: dict[str, Callable[..., Awaitable[CallToolResult]]] = {
            "find_tools": self._find_tools,
            "describe_tool": self._describe_tool,
            "call_tool": self._call_tool,
            "list_tools": self._list_tools,
        }
        answer = known.get(params.name)
        if answer is None:
            message = f"tool: not one of {', '.join(known)}, got {params.name[:100]!r}; call those"
            raise MCPError(INVALID_PARAMS, message)
        try:
            return await answer(context, params.arguments or {})
        except ServiceError as error:
            # As a result, so that the model sees it and can do better.
            text = TextContent(text=f"{error.code}: {error.message}")
            return CallToolResult(content=[text], is_error=True)

    async def _find_tools(self, context: Context, arguments: dict[str, Any]) -> CallToolResult:
        request = parsed(MatchRequest, arguments)
        return _answer(await self._service.match(_exchange(context), request))

    async def _describe_tool(self, context: Context, arguments: dict[str, Any]) -> CallToolResult:
        request = parsed(DescribeRequest, arguments)
        found = await self._service.describe(_exchange(context), request.namespace, request.name)
        return _answer(found)

    async def _list_tools(self, context: Context, arguments: dict[str, Any]) -> CallToolResult:
        request = parsed(ListRequest, arguments)
        return _answer(await self._service.list_tools(_exchange(context), request))

    async def _call_tool(self, context: Context, arguments: dict[str, Any]) -> CallToolResult:
        request = parsed(CallRequest, arguments)
        outcome = await self._service.call(
            _exchange(context), request.namespace, request.name, request.arguments
        )
        return _result(outcome)


def _exchange(context: Context) -> Exchange:
    if context.request is None:
        msg = "MCP is served over HTTP alone"
        raise RuntimeError(msg)
    return exchange_of(context.request)


def _answer(document: dict[str, Any]) -> CallToolResult:
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return CallToolResult(content=[TextContent(text=text)], structured_content=document)


def _result(outcome: Outcome) -> CallToolResult:
    """A tool's own answer, passed on."""
    content: list[ContentBlock] = [TextContent(text=outcome.text)] if outcome.text else []
    structured = outcome.structured
    return CallToolResult(
        content=outcome.blocks or content,
        structured_content=structured if isinstance(structured, dict) else None,
        is_error=outcome.is_error,
    )
