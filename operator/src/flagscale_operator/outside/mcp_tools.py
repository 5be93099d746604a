"""The tools of an MCP server, by the official client.

Imported once there is a source that needs it: the client takes 0.7 s and 40 MiB.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Final

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import Tool
from pydantic import ValidationError

from flagscale_operator.outside.addresses import Egress, OutsideError
from flagscale_operator.outside.http import REDIRECTS
from flagscale_operator.outside.mcp_transport import CheckedTransport
from flagscale_operator.outside.remote_tools import Listing, RemoteTool, canonical

_log = logging.getLogger(__name__)
CONNECT_S: Final = 30.0
LIMIT_BYTES: Final = 16 << 20
PAGES: Final = 256
TOOLS: Final = 4096


async def list_mcp_tools(
    url: str, *, headers: Mapping[str, str], egress: Egress, timeout_s: float
) -> Listing:
    """All tools of a server, in one session.

    Raises:
        OutsideError: it could not be asked, or does not speak MCP.
    """
    transport = CheckedTransport(egress, limit_bytes=LIMIT_BYTES)
    http = httpx2.AsyncClient(
        transport=transport, headers=dict(headers), timeout=timeout_s, trust_env=False
    )
    try:
        async with http:
            streams = streamable_http_client(url, http_client=http, max_sse_event_size=LIMIT_BYTES)
            async with Client(streams, cache=None, read_timeout_seconds=timeout_s) as client:
                return await _listing(client)
    except BaseExceptionGroup as group:
        raise _failure(url, transport, _first(group)) from group
    except (MCPError, httpx2.HTTPError, ValidationError, RuntimeError, ValueError) as error:
        raise _failure(url, transport, error) from error


async def follow_mcp_tools(
    url: str, *, headers: Mapping[str, str], egress: Egress, on_change: Callable[[], None]
) -> None:
    """Call back for each change that a server tells of, as long as it does.

    Servers of protocol versions before 2026-07-28 tell nothing; this then ends at once.
    """
    transport = CheckedTransport(egress, limit_bytes=LIMIT_BYTES)
    timeout = httpx2.Timeout(CONNECT_S, read=None)
    http = httpx2.AsyncClient(
        transport=transport, headers=dict(headers), timeout=timeout, trust_env=False
    )
    subscribed = False
    try:
        async with http:
            streams = streamable_http_client(url, http_client=http)
            async with (
                Client(streams, cache=None, read_timeout_seconds=CONNECT_S) as client,
                client.listen(tools_list_changed=True) as subscription,
            ):
                subscribed = True
                # What has changed since the last list, and before this, nobody tells.
                on_change()
                async for _ in subscription:
                    on_change()
    except BaseExceptionGroup as group:
        _log.debug("%s: not followed any more: %r", url, _first(group))
    except (OutsideError, MCPError, httpx2.HTTPError, ValueError, RuntimeError, OSError) as error:
        _log.debug("%s: not followed any more: %r", url, error)
    if subscribed:
        # The server has gone, or another one has taken its place.
        on_change()


async def _listing(client: Client) -> Listing:
    tools: list[RemoteTool] = []
    refused: list[tuple[str, str]] = []
    cursor: str | None = None
    for _ in range(PAGES):
        page = await client.list_tools(cursor=cursor)
        for tool in page.tools:
            try:
                tools.append(_tool(tool))
            except (ValueError, RecursionError):
                refused.append((tool.name, "its schema is no JSON, or nested too deeply"))
        cursor = page.next_cursor
        if cursor is None:
            break
        if len(tools) > TOOLS:
            raise OutsideError("TooLarge", f"offers more than {TOOLS} tools; use another server")
    else:
        raise OutsideError("TooLarge", f"its list has more than {PAGES} pages")
    info = client.server_info
    server = f"{info.name} {info.version}".strip() if info else ""
    return Listing(tools=tuple(tools), server=server, refused=tuple(refused))


def _tool(tool: Tool) -> RemoteTool:
    hints = tool.annotations
    repeatable = bool(hints and (hints.idempotent_hint or hints.read_only_hint))
    return RemoteTool(
        name=tool.name,
        description=tool.description or tool.title or "",
        parameters=canonical(tool.input_schema),
        idempotent=repeatable,
    )


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    if not isinstance(found, Exception):
        raise found
    return found


def _failure(url: str, transport: CheckedTransport, error: BaseException) -> OutsideError:
    """What the transport saw says more than what the client makes of it."""
    if transport.problem or isinstance(error, OutsideError):
        return transport.problem or OutsideError("Unreachable", str(error))
    if isinstance(error, httpx2.TimeoutException):
        return OutsideError("TimedOut", f"{url}: does not answer in time")
    status = transport.status
    if status in (401, 403):
        return OutsideError(
            "Unauthorized", f"{url}: answers {status}; name a credential in spec.auth"
        )
    if status in REDIRECTS:
        told = f"{url}: redirects to {transport.location[:200]}; name that instead"
        return OutsideError("Redirected", told)
    if status >= 400:
        return OutsideError("BadAnswer", f"{url}: answers {status}; correct the URL")
    words = " ".join(str(error).split())[:200]
    return OutsideError("BadAnswer", f"{url}: does not speak MCP ({type(error).__name__}: {words})")
