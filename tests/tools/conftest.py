"""Two service processes for the folder: over files, and over an API server; real tools behind."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from support.loopback_tools import Seen, http_tool, mcp_tool, served
from support.scripted_kube import ScriptedKube, scripted_kube
from support.tool_service import ToolServiceProcess, agent_tool, tool_service

CITY = {"properties": {"city": {"type": "string"}}, "required": ["city"]}
NUMBERS = {
    "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
    "required": ["a", "b"],
    "additionalProperties": False,
}


@dataclass
class Running:
    """The service and the tools behind it."""

    service: ToolServiceProcess
    seen: Seen
    http_url: str
    mcp_url: str

    async def call(self, name: str, **arguments: Any) -> tuple[int, dict[str, Any]]:
        """By REST: status and answer."""
        async with self.service.client() as client:
            answer = await client.post(f"/v1/tools/team/{name}:call", json={"arguments": arguments})
        return answer.status_code, answer.json()

    async def names(self, query: str, **more: Any) -> list[str]:
        """Names of the hits of a request."""
        async with self.service.client() as client:
            body = {"query": query, "min_confidence": 0, **more}
            answer = await client.post("/v1/tools:match", json=body)
        assert answer.status_code == 200, answer.text
        return [one["name"] for one in answer.json()["tools"]]


def tools(http_url: str, mcp_url: str) -> list[dict[str, Any]]:
    """What every test finds there."""
    path = {"url": f"{http_url}/weather/{{city}}"}
    return [
        agent_tool("weather", "Forecast of the weather for a city.", http=path, parameters=CITY,
                   category="weather", server="sky"),
        agent_tool("add", "Add two numbers.", mcp={"url": mcp_url}, parameters=NUMBERS),
        agent_tool("word-count", "Count the words of a text."),
        agent_tool("planner", "Plan a journey.", agent={"url": "https://travel.example.org"}),
        agent_tool("fail", "A thing that is out of order.", mcp={"url": mcp_url}),
    ]  # fmt: skip


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def running(tmp_path_factory: Any) -> AsyncIterator[Running]:
    folder: Path = tmp_path_factory.mktemp("tools")
    seen = Seen()
    async with AsyncExitStack() as stack:
        http_url = await stack.enter_async_context(served(http_tool(seen)))
        mcp_url = await stack.enter_async_context(served(mcp_tool())) + "/mcp"
        (folder / "empty.yaml").write_text("")
        service = await stack.enter_async_context(tool_service(folder))
        service.write("tools.yaml", *tools(http_url, mcp_url))
        up = Running(service, seen, http_url, mcp_url)

        async def embedded() -> bool:
            async with service.client() as client:
                text = (await client.get("/metrics")).text
            return (
                "flagscale_tools_indexed 5.0" in text
                and 'flagscale_tools_arm_missing{arm="dense"} 0.0' in text
            )

        await service.until(embedded, timeout_s=60)
        yield up
    await asyncio.sleep(0)


ADMIN = "admin-token"


class Cluster:
    """The service, its API server, and callers."""

    def __init__(self, service: ToolServiceProcess, kube: ScriptedKube) -> None:
        self.service = service
        self.kube = kube

    async def find(self, query: str, token: str = ADMIN, **more: Any) -> Any:
        async with self.service.client(headers={"authorization": f"Bearer {token}"}) as client:
            body = {"query": query, "min_confidence": 0, **more}
            return (await client.post("/v1/tools:match", json=body)).json()

    async def names(self, query: str, token: str = ADMIN, **more: Any) -> set[str]:
        found = await self.find(query, token, **more)
        return {f"{one['namespace']}/{one['name']}" for one in found["tools"]}

    async def call(self, name: str, token: str = ADMIN) -> tuple[int, Any]:
        """By `namespace/name`."""
        async with self.service.client(headers={"authorization": f"Bearer {token}"}) as client:
            path = f"/v1/tools/{name}:call"
            answer = await client.post(path, json={})
            return answer.status_code, answer.json()

    async def until_found(self, name: str) -> None:
        """Until a tool of this `namespace/name` can be described."""

        async def found() -> bool:
            async with self.service.client(headers={"authorization": f"Bearer {ADMIN}"}) as client:
                return (await client.get(f"/v1/tools/{name}")).status_code == 200

        await self.service.until(found)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def up(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    kube = ScriptedKube()
    kube.users[ADMIN] = "admin"
    kube.allowed |= {("admin", "get", "", ""), ("admin", "call", "", "")}
    account = tmp_path_factory.mktemp("account")
    limits = ("--access-seconds", "1", "--status-seconds", "1", "--requests-per-minute", "1000")
    options = ("--service-account", str(account), "--allow-loopback", *limits)
    async with (
        scripted_kube(kube, account) as environ,
        tool_service(account, *options, environ=environ) as service,
    ):
        yield Cluster(service, kube)


def tool(name: str, description: str, namespace: str = "team", **spec: Any) -> dict[str, Any]:
    """An AgentTool of a namespace."""
    body = agent_tool(name, description, **spec)
    body["metadata"]["namespace"] = namespace
    return body
