"""The running service as an MCP server, for the official client."""

import json
from typing import Any

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from support.tool_service import agent_tool

from .conftest import Running

pytestmark = pytest.mark.asyncio(loop_scope="session")


def client(running: Running, mode: str = "auto") -> Client:
    return Client(f"{running.service.url}/mcp", mode=mode)


async def answer(mcp: Client, tool: str, **arguments: Any) -> Any:
    result = await mcp.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return result.structured_content


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_official_client_finds_describes_and_calls(running: Running, mode: str) -> None:
    async with client(running, mode) as mcp:
        names = {tool.name for tool in (await mcp.list_tools()).tools}
        assert names == {"find_tools", "describe_tool", "call_tool", "list_tools"}

        found = await answer(mcp, "find_tools", query="add two numbers", k=1)
        place = {key: found["tools"][0][key] for key in ("namespace", "name")}
        told = await answer(mcp, "describe_tool", **place)
        assert told["input_schema"]["required"] == ["a", "b"]

        result = await mcp.call_tool("call_tool", {**place, "arguments": {"a": 20, "b": 22}})
        assert (result.is_error, result.content[0].type) == (False, "text")
        assert result.content[0].text == "42"

        place = {"namespace": "team", "name": "weather"}
        result = await mcp.call_tool("call_tool", {**place, "arguments": {"city": "Rome"}})
        assert result.structured_content["path"] == "/weather/Rome"


async def test_a_model_is_told_what_was_wrong(running: Running) -> None:
    async with client(running) as mcp:
        place = {"namespace": "team", "name": "add"}
        result = await mcp.call_tool("call_tool", {**place, "arguments": {"a": "x", "b": 2}})
        assert result.is_error
        assert "invalid_arguments: arguments.a:" in result.content[0].text
        result = await mcp.call_tool("find_tools", {"query": "x", "k": 1000})
        assert "invalid_request: k:" in result.content[0].text
        with pytest.raises(MCPError, match="not one of find_tools"):
            await mcp.call_tool("no_such", {})


async def test_the_tools_of_a_server_are_listed_page_by_page(running: Running) -> None:
    async with client(running) as mcp:
        seen, cursor = [], ""
        while True:
            page = await answer(mcp, "list_tools", namespace="team", limit=2, cursor=cursor)
            seen += [one["name"] for one in page["tools"]]
            cursor = page["next_cursor"]
            if not cursor:
                break
    assert len(seen) == len(set(seen))
    assert {"weather", "add", "planner"} <= set(seen)


async def test_listeners_hear_of_a_change(running: Running) -> None:
    async with client(running) as mcp, mcp.listen(tools_list_changed=True) as events:
        running.service.write("news.yaml", agent_tool("news", "Read the headlines of today."))
        async for event in events:
            assert type(event).__name__ == "ToolsListChanged"
            break
        found = await answer(mcp, "find_tools", query="headlines of today", k=1)
    assert json.dumps(found["tools"][0]["name"]) == '"news"'
