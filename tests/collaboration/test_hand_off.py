"""Tasks handed to agents over A2A, by the official SDK on both sides."""

import asyncio
import json
from collections.abc import AsyncIterator
from ipaddress import ip_address

import httpx
import pytest
from a2a.client import ClientConfig, create_client
from a2a.helpers.proto_helpers import get_stream_response_text, new_text_message
from a2a.types.a2a_pb2 import Role, SendMessageRequest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse
from starlette.routing import Route

from flagscale_api.runtime.egress import AddressPolicy, ForbiddenAddressError
from flagscale_workloads.agent.collaboration import (
    AgentInfo,
    HandOff,
    HandOffError,
    InvalidInputError,
    Json,
)
from flagscale_workloads.agent.collaboration.a2a.endpoint import EndpointLimits, agent_app
from flagscale_workloads.agent.collaboration.a2a.executor import Assignment
from flagscale_workloads.agent.collaboration.a2a.transport import PRIVATE
from support.a2a_agents import own_url, serving
from support.teams import Team

HERE = HandOff(loopback=True, timeout_s=20)


async def echo(task: Assignment) -> AsyncIterator[Json]:
    """Answers with what it got, in pieces."""
    for word in task.text.split():
        yield f"{word} "
    if task.data:
        yield {"got": list(task.data)}


async def failing(task: Assignment) -> AsyncIterator[Json]:
    yield "so far "
    raise LookupError(task.text)


async def test_a_task_is_done_by_another_agent(team: Team) -> None:
    url, port = own_url("/writer")
    info = AgentInfo("writer", "Writes", ("write",), url)
    async with serving(agent_app(info, echo), port):
        writer, asker = await team.observer(), await team.agent("asker")
        await writer.register(info)

        steps = [one async for one in asker.hand_off_stream("writer", "tell it all", HERE)]
        outcome = await asker.hand_off("writer", {"table": [1, 2]}, HERE)

    assert [one.state for one in steps[:2]] == ["submitted", "working"]
    assert [one.text for one in steps if one.text][:2] == ["tell ", "tell it "]
    assert (steps[-1].state, steps[-1].text) == ("completed", "tell it all ")
    assert (outcome.state, outcome.data) == ("completed", ({"got": [{"table": [1, 2]}]},))
    assert outcome.task_id
    assert outcome.context_id != steps[-1].context_id


async def test_a_conversation_goes_on(team: Team) -> None:
    url, port = own_url()
    info = AgentInfo("writer", url=url)
    async with serving(agent_app(info, echo), port):
        await (await team.observer()).register(info)
        asker = await team.agent("asker")
        first = await asker.hand_off("writer", "one", HERE)
        how = HandOff(loopback=True, context_id=first.context_id)
        second = await asker.hand_off("writer", "two", how)

    assert second.context_id == first.context_id
    assert second.task_id != first.task_id


async def test_an_agent_that_fails_says_why(team: Team) -> None:
    url, port = own_url()
    info = AgentInfo("writer", url=url)
    async with serving(agent_app(info, failing), port):
        await (await team.observer()).register(info)
        outcome = await (await team.agent("asker")).hand_off("writer", "the key", HERE)

    assert outcome.state == "failed"
    assert (outcome.text, outcome.reason) == ("so far ", "LookupError: the key")


async def test_the_plain_sdk_speaks_to_our_agents() -> None:
    url, port = own_url()
    async with (
        serving(agent_app(AgentInfo("writer", url=url), echo), port),
        httpx.AsyncClient() as http,
    ):
        client = await create_client(url, ClientConfig(httpx_client=http))
        request = SendMessageRequest(message=new_text_message("a b", role=Role.ROLE_USER))
        told = [get_stream_response_text(one) async for one in client.send_message(request)]

    assert "".join(told).count("b ") == 1


async def test_only_who_has_the_token_is_served(team: Team) -> None:
    url, port = own_url()
    info = AgentInfo("writer", url=url)
    async with serving(agent_app(info, echo, token="s3cret"), port):
        await (await team.observer()).register(info)
        asker = await team.agent("asker")
        with pytest.raises(HandOffError, match=r"agent writer: could not hand over.*401"):
            await asker.hand_off("writer", "x", HERE)
        outcome = await asker.hand_off("writer", "x", HandOff(loopback=True, token="s3cret"))

    assert outcome.state == "completed"


async def test_an_agent_takes_so_many_tasks_at_once_and_such_bodies(team: Team) -> None:
    started, gate = asyncio.Event(), asyncio.Event()

    async def slow(task: Assignment) -> AsyncIterator[Json]:
        started.set()
        await gate.wait()
        yield task.text

    url, port = own_url()
    info = AgentInfo("writer", url=url)
    limits = EndpointLimits(at_once=1, body_bytes=2_000)
    async with serving(agent_app(info, slow, limits=limits), port):
        await (await team.observer()).register(info)
        asker = await team.agent("asker")
        first = asyncio.create_task(asker.hand_off("writer", "first", HERE))
        await started.wait()
        second = await asker.hand_off("writer", "second", HERE)
        gate.set()
        done = await first
        with pytest.raises(HandOffError, match="413"):
            await asker.hand_off("writer", "x" * 3_000, HERE)

    assert second.reason == "busy: 1 tasks run; try later"
    assert done.text == "first"


async def test_who_takes_too_long_or_says_too_much_is_given_up(team: Team) -> None:
    async def endless(task: Assignment) -> AsyncIterator[Json]:
        if task.text == "wait":
            await asyncio.Event().wait()
        while True:
            yield "x" * 1_000
            await asyncio.sleep(0)

    url, port = own_url()
    info = AgentInfo("writer", url=url)
    async with serving(agent_app(info, endless), port):
        await (await team.observer()).register(info)
        asker = await team.agent("asker")
        with pytest.raises(HandOffError, match=r"did not end its task in 0\.3 s"):
            await asker.hand_off("writer", "wait", HandOff(loopback=True, timeout_s=0.3))
        with pytest.raises(HandOffError, match="too long, got over 50000 bytes"):
            await asker.hand_off("writer", "talk", HandOff(loopback=True, max_bytes=50_000))


async def test_only_the_living_get_tasks(team: Team) -> None:
    asker = await team.agent("asker")
    mute = await team.agent("mute")
    assert mute.me.name == "mute"
    with pytest.raises(HandOffError, match="agent nobody: not there"):
        await asker.hand_off("nobody", "x")
    with pytest.raises(HandOffError, match="agent mute: takes no tasks"):
        await asker.hand_off("mute", "x")
    gone, _ = own_url()
    await (await team.observer()).register(AgentInfo("gone", url=gone))
    with pytest.raises(HandOffError, match="agent gone: could not hand over, got "):
        await asker.hand_off("gone", "x", HERE)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (
            "http://169.254.169.254/latest",
            "is a link-local or metadata address, got 169.254.169.254",
        ),
        ("http://127.0.0.1:1", "is a loopback address"),
        ("http://[::ffff:127.0.0.1]:1", "is a loopback address"),
        ("http://0.0.0.0:1", "is no address of one host"),
        ("http://224.0.0.1", "is no address of one host"),
        ("http://no-such-host.invalid", "no-such-host.invalid is not known"),
    ],
)
async def test_a_forbidden_address_is_not_called(team: Team, address: str, said: str) -> None:
    await (await team.observer()).register(AgentInfo("evil", url=address))
    asker = await team.agent("asker")

    with pytest.raises(HandOffError, match="agent's address: ") as error:
        await asker.hand_off("evil", "x")

    assert said in str(error.value)


async def test_a_redirect_and_a_card_that_points_elsewhere_are_refused(team: Team) -> None:
    url, port = own_url()
    asked: list[str] = []

    async def card(request: Request) -> JSONResponse:
        interface = {
            "url": "http://localhost:1/",
            "protocolBinding": "JSONRPC",
            "protocolVersion": "1.0",
        }
        return JSONResponse({"name": "evil", "supportedInterfaces": [interface]})

    async def redirect(request: Request) -> RedirectResponse:
        asked.append(request.url.path)
        return RedirectResponse("http://169.254.169.254/")

    routes = [
        Route("/card/.well-known/agent-card.json", card),
        Route("/{rest:path}", redirect),
    ]
    async with serving(Starlette(routes=routes), port):
        asker = await team.agent("asker")
        evil = await team.observer()
        await evil.register(AgentInfo("evil", url=f"{url}/card"))
        with pytest.raises(HandOffError, match="points elsewhere, got host localhost, expected 12"):
            await asker.hand_off("evil", "x", HERE)
        await evil.register(AgentInfo("evil", url=f"{url}/away"))
        with pytest.raises(HandOffError, match=r"could not hand over.*30"):
            await asker.hand_off("evil", "x", HERE)

    assert asked == ["/away/.well-known/agent-card.json"]


async def test_what_is_no_agent_is_said_to_be_none(team: Team) -> None:
    url, port = own_url()

    async def page(request: Request) -> JSONResponse:
        return JSONResponse(json.loads('["no card"]'))

    async with serving(Starlette(routes=[Route("/{rest:path}", page)]), port):
        await (await team.observer()).register(AgentInfo("odd", url=url))
        with pytest.raises(HandOffError, match="agent odd: could not hand over, got "):
            await (await team.agent("asker")).hand_off("odd", "x", HERE)


def test_an_agent_without_a_url_serves_nothing() -> None:
    with pytest.raises(InvalidInputError, match="agent writer: no url"):
        agent_app(AgentInfo("writer"), echo)


def test_private_addresses_are_where_agents_live() -> None:
    policy = AddressPolicy(networks=PRIVATE)
    for allowed in ("10.1.2.3", "192.168.1.1", "100.64.0.9", "8.8.8.8", "fd00::1"):
        policy.check("agent", [ip_address(allowed)], internal=())
    for not_allowed in ("169.254.0.1", "fe80::1", "::1", "fd00:ec2::254", "64:ff9b::a9fe:a9fe"):
        with pytest.raises(ForbiddenAddressError):
            policy.check("agent", [ip_address(not_allowed)], internal=())
