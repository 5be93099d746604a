"""Calls of real tools through the running service."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from flagscale_workloads.agent.collaboration import AgentInfo
from flagscale_workloads.agent.collaboration.a2a.endpoint import agent_app
from flagscale_workloads.agent.collaboration.a2a.executor import Assignment
from support.a2a_agents import own_url, serving
from support.tool_service import agent_tool

from .conftest import Running

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def with_tool(running: Running, name: str, **spec: Any) -> None:
    """One more tool, once it is there."""
    running.service.write(f"{name}.yaml", agent_tool(name, "A tool of one test.", **spec))

    async def there() -> bool:
        async with running.service.client() as client:
            return (await client.get(f"/v1/tools/team/{name}")).status_code == 200

    await running.service.until(there)


async def test_an_http_tool_is_called_with_its_arguments_and_the_trace(running: Running) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with running.service.client(headers={"traceparent": trace}) as client:
        body = {"arguments": {"city": "Rome/Lazio"}}
        answer = (await client.post("/v1/tools/team/weather:call", json=body)).json()
    assert (answer["is_error"], answer["status"], answer["attempts"]) == (False, 200, 1)
    got = answer["structured"]
    assert got["raw_path"] == "/weather/Rome%2FLazio"
    assert got["headers"]["traceparent"] == trace
    assert "authorization" not in got["headers"]


async def test_an_mcp_tool_is_called(running: Running) -> None:
    status, answer = await running.call("add", a=2, b=40)
    assert status == 200
    assert (answer["is_error"], answer["text"]) == (False, "42")


async def test_a_failing_mcp_tool_says_so_itself(running: Running) -> None:
    status, answer = await running.call("fail")
    assert (status, answer["is_error"]) == (200, True)
    assert "Error executing tool fail" in answer["text"]


async def test_bad_arguments_never_leave(running: Running) -> None:
    before = len(running.seen.requests)
    status, answer = await running.call("weather", city=5)
    assert status == 422
    assert "arguments.city: 5 is not of type" in answer["error"]["message"]
    status, answer = await running.call("add", a=1, b=2, c=3)
    assert (status, answer["error"]["code"]) == (422, "invalid_arguments")
    assert len(running.seen.requests) == before


async def test_what_has_no_endpoint_to_call_says_what_to_do(running: Running) -> None:
    status, answer = await running.call("word-count")
    assert (status, answer["error"]["code"]) == (422, "not_callable")
    assert "is a function" in answer["error"]["message"]


async def answering(task: Assignment) -> AsyncIterator[Any]:
    """Says what it got; fails when asked to."""
    if task.text == "fail":
        raise LookupError(task.text)
    yield f"heard {task.text}"
    if task.data:
        yield {"data": list(task.data)}


async def test_an_agent_is_handed_the_arguments_as_a_task(running: Running) -> None:
    url, port = own_url()
    two = {"properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}
    text = {"properties": {"text": {"type": "string"}}, "required": ["text"]}
    async with serving(agent_app(AgentInfo("writer", url=url), answering), port):
        await with_tool(running, "writer", agent={"url": url}, parameters=text)
        await with_tool(running, "adder", agent={"url": url}, parameters=two)
        status, done = await running.call("writer", text="a poem")
        _, failed = await running.call("writer", text="fail")
        _, data = await running.call("adder", a=1, b=2)

    assert (status, done["is_error"], done["text"]) == (200, False, "heard a poem")
    assert done["structured"]["state"] == "completed"
    assert (failed["is_error"], failed["text"]) == (True, "LookupError: fail")
    assert data["structured"]["data"] == [{"data": [{"a": 1, "b": 2}]}]
    status, gone = await running.call("writer", text="a poem")
    assert (status, gone["error"]["code"]) == (502, "tool_failed")


async def test_an_agent_at_a_forbidden_address_is_not_called(running: Running) -> None:
    await with_tool(running, "inside-agent", agent={"url": "http://10.1.2.3"})
    status, answer = await running.call("inside-agent")
    assert (status, answer["error"]["code"]) == (403, "forbidden_address")


@pytest.mark.parametrize(
    "to", ["http://169.254.169.254/latest", "http://localhost:1/", "https://example.org/"]
)
async def test_a_redirect_to_another_host_is_not_followed(running: Running, to: str) -> None:
    await with_tool(running, "moved", http={"url": f"{running.http_url}/redirect"},
                    parameters={"properties": {"to": {"type": "string"}}})  # fmt: skip
    before = len(running.seen.requests)
    status, answer = await running.call("moved", to=to)
    assert (status, answer["error"]["code"]) == (502, "redirect_refused")
    assert len(running.seen.requests) == before + 1


async def test_a_redirect_within_the_host_is_followed_but_not_forever(running: Running) -> None:
    await with_tool(running, "moved", http={"url": f"{running.http_url}/redirect"},
                    parameters={"properties": {"to": {"type": "string"}}})  # fmt: skip
    status, answer = await running.call("moved", to="/here")
    assert (status, answer["structured"]["path"]) == (200, "/here")
    status, answer = await running.call("moved", to="/redirect?to=/redirect")
    assert status == 502 or answer["is_error"]


@pytest.mark.parametrize("url", ["http://169.254.169.254/x", "http://10.1.2.3/x"])
async def test_addresses_that_the_tool_does_not_name_are_forbidden(
    running: Running, url: str
) -> None:
    await with_tool(running, "inside", http={"url": url})
    status, answer = await running.call("inside")
    assert (status, answer["error"]["code"]) == (403, "forbidden_address")
    await with_tool(running, "inside", mcp={"url": url})


async def test_a_forbidden_mcp_server_is_refused_alike(running: Running) -> None:
    await with_tool(running, "inside-mcp", mcp={"url": "http://169.254.169.254/mcp"})
    status, answer = await running.call("inside-mcp")
    assert (status, answer["error"]["code"]) == (403, "forbidden_address")


async def test_only_idempotent_tools_are_tried_again(running: Running) -> None:
    url = {"url": f"{running.http_url}/busy"}
    await with_tool(running, "once", http=url)
    await with_tool(running, "often", http=url, idempotent=True)

    running.seen.failures_left = 1
    _, answer = await running.call("once")
    assert (answer["status"], answer["attempts"]) == (503, 1)

    running.seen.failures_left = 2
    _, answer = await running.call("often")
    assert (answer["status"], answer["attempts"]) == (200, 3)


async def test_slow_large_and_binary_answers_are_cut(running: Running) -> None:
    await with_tool(running, "slow", http={"url": f"{running.http_url}/slow"}, timeoutSeconds=0.3)
    status, answer = await running.call("slow")
    assert (status, answer["error"]["code"]) == (504, "timeout")

    size = {"properties": {"bytes": {"type": "integer"}}}
    await with_tool(running, "big", http={"url": f"{running.http_url}/big"}, parameters=size)
    status, answer = await running.call("big", bytes=2_000_000)
    assert (status, answer["error"]["code"]) == (502, "answer_too_large")

    await with_tool(running, "binary", http={"url": f"{running.http_url}/binary"})
    status, answer = await running.call("binary")
    assert (status, answer["error"]["code"]) == (502, "bad_answer")

    flood = {"properties": {"size": {"type": "integer"}}}
    await with_tool(running, "flood", mcp={"url": running.mcp_url}, parameters=flood)
    status, answer = await running.call("flood", size=2_000_000)
    assert (status, answer["error"]["code"]) == (502, "answer_too_large")


async def test_errors_of_a_tool_are_its_own(running: Running) -> None:
    await with_tool(running, "lost", http={"url": f"{running.http_url}/missing"})
    status, answer = await running.call("lost")
    assert (status, answer["is_error"], answer["status"]) == (200, True, 404)
    assert json.loads(answer["text"]) == {"detail": "no such city"}

    await with_tool(running, "dead", http={"url": "http://127.0.0.1:1/"})
    status, answer = await running.call("dead")
    assert (status, answer["error"]["code"]) == (502, "unreachable")

    await with_tool(running, "dead-mcp", mcp={"url": "http://127.0.0.1:1/mcp"})
    status, answer = await running.call("dead-mcp")
    assert (status, answer["error"]["code"]) == (502, "unreachable")


async def test_a_credential_needs_a_cluster(running: Running) -> None:
    auth = {"secretKeyRef": {"name": "shop", "key": "token"}}
    await with_tool(running, "secret", http={"url": running.http_url}, auth=auth)
    status, answer = await running.call("secret")
    assert (status, answer["error"]["code"]) == (502, "no_credential")
