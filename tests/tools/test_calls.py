"""Calls of real tools through the running service."""

import json
from typing import Any

import pytest

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


@pytest.mark.parametrize(
    ("name", "told"), [("word-count", "is a function"), ("planner", "talk to it by A2A at https")]
)
async def test_what_has_no_endpoint_to_call_says_what_to_do(
    running: Running, name: str, told: str
) -> None:
    status, answer = await running.call(name)
    assert (status, answer["error"]["code"]) == (422, "not_callable")
    assert told in answer["error"]["message"]


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
