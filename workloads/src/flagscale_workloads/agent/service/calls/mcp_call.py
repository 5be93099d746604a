"""A call of a tool that an MCP server offers, over streamable HTTP."""

from collections.abc import Mapping
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolRequest, CallToolRequestParams, CallToolResult
from pydantic import TypeAdapter, ValidationError

from flagscale_workloads.agent.service.calls.egress import EgressTransport
from flagscale_workloads.agent.service.errors import ServiceError
from flagscale_workloads.agent.service.outcome import Outcome

_RESULT: TypeAdapter[CallToolResult] = TypeAdapter(CallToolResult)


async def call_mcp(
    url: str,
    tool: str,
    arguments: Mapping[str, Any],
    *,
    headers: Mapping[str, str],
    transport: EgressTransport,
    timeout_s: float,
) -> Outcome:
    """One session for one call: nothing of a caller stays with the server. Raises ServiceError."""
    http = httpx2.AsyncClient(
        transport=transport, headers=dict(headers), timeout=timeout_s, trust_env=False
    )
    try:
        async with http:
            streams = streamable_http_client(
                url, http_client=http, max_sse_event_size=transport.limit_bytes
            )
            async with Client(streams, cache=None, read_timeout_seconds=timeout_s) as client:
                return _outcome(await _called(client, tool, arguments))
    except MCPError as error:
        raise transport.problem or _failed(str(error)) from error
    except BaseExceptionGroup as group:
        raise transport.problem or _cause(group) from group
    except (httpx2.HTTPError, ValidationError, RuntimeError) as error:
        raise transport.problem or _failed(f"{type(error).__name__}: {error}") from error


async def _called(client: Client, tool: str, arguments: Mapping[str, Any]) -> CallToolResult:
    # Not `Client.call_tool`: that lists all tools of the server once more, and runs their output
    # schemas' regular expressions, which are the server's, without a limit.
    params = CallToolRequestParams(name=tool, arguments=dict(arguments))
    return await client.session.send_request(CallToolRequest(params=params), _RESULT)


def _outcome(result: CallToolResult) -> Outcome:
    return Outcome(
        is_error=result.is_error,
        text="\n".join(block.text for block in result.content if block.type == "text"),
        structured=result.structured_content,
        blocks=tuple(result.content),
    )


def _failed(why: str) -> ServiceError:
    message = f"tool: its MCP server failed ({why[:300]}); look at the server"
    return ServiceError(502, "tool_failed", message, retryable=True)


def _cause(group: BaseExceptionGroup[BaseException]) -> ServiceError:
    """The first of our own refusals in a task group's errors, else a failure."""
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    if isinstance(found, ServiceError):
        return found
    if not isinstance(found, Exception):
        raise found
    return _failed(f"{type(found).__name__}: {found}")
