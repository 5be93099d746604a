"""Agents live as long as their own lease."""

import asyncio

import pytest

from flagscale_workloads.agent.collaboration import (
    AgentInfo,
    LeaseEndedError,
    LimitReachedError,
    Limits,
    NameTakenError,
)
from support.teams import SLACK_S, Team, until


async def test_an_agent_is_seen_with_what_it_told(team: Team) -> None:
    planner = await team.observer()
    info = AgentInfo("planner", "Plans 日程", ("plan",), "http://planner:9000", {"gpu": 2})

    session = await planner.register(info, lease_s=30)

    (seen,) = await (await team.observer()).agents()
    assert seen.info == info
    assert seen.session == session.number
    assert 29 < seen.left_s <= 30
    assert await planner.agent("planner") is not None
    assert await planner.agent("writer") is None


async def test_one_agents_heartbeat_keeps_no_other_alive(team: Team) -> None:
    living = await team.agent("living", lease_s=10)
    await team.agent("dead", lease_s=0.5)

    async def dead_is_gone() -> bool:
        await living.heartbeat()
        return [agent.info.name for agent in await living.agents()] == ["living"]

    took_s = await until(dead_is_gone)

    assert took_s < 0.5 + SLACK_S


async def test_a_heartbeat_after_the_end_is_refused(team: Team) -> None:
    late = await team.agent("late", lease_s=0.1)

    async def gone() -> bool:
        return await late.agents() == ()

    await until(gone)

    with pytest.raises(LeaseEndedError, match=r"agent late: session \d+ has ended"):
        await late.heartbeat()


async def test_beating_outlives_many_leases(team: Team) -> None:
    agent = await team.agent("worker", lease_s=1.5)
    other = await team.observer()
    loop = asyncio.get_running_loop()
    async with agent.beating() as ended:
        ends = loop.time() + 3.5
        while loop.time() < ends:
            await asyncio.sleep(0.02)
            assert await other.agent("worker") is not None
        assert not ended.is_set()

        await agent.store.leave("worker", agent.me.number)
        await asyncio.wait_for(ended.wait(), 5)


async def test_a_name_has_one_owner_at_a_time(team: Team) -> None:
    first = await team.agent("worker")
    second = await team.observer()
    with pytest.raises(NameTakenError, match="agent worker: another process is registered"):
        await second.register(AgentInfo("worker"))

    await second.register(AgentInfo("worker"), take_over=True)

    with pytest.raises(LeaseEndedError):
        await first.heartbeat()
    await second.heartbeat()
    with pytest.raises(NameTakenError):
        await first.register(AgentInfo("worker"))


async def test_the_name_of_a_dead_agent_is_free(team: Team) -> None:
    first = await team.agent("worker", lease_s=0.1)
    old = first.me.number
    second = await team.observer()

    async def registered() -> bool:
        try:
            await second.register(AgentInfo("worker"))
        except NameTakenError:
            return False
        return True

    assert await until(registered) < 0.1 + SLACK_S
    assert second.me.number > old


async def test_registering_again_changes_what_is_told_and_keeps_claims(team: Team) -> None:
    agent = await team.agent("worker")
    before = agent.me.number
    claim = await agent.claim("gpu")

    await agent.register(AgentInfo("worker", "new"))

    assert agent.me.number == before
    assert (await agent.claim("gpu")).token == claim.token
    found = await agent.agent("worker")
    assert found is not None
    assert found.info.description == "new"


async def test_who_leaves_is_gone_at_once(team: Team) -> None:
    agent = await team.agent("worker")

    assert await agent.leave()

    assert await agent.agents() == ()


async def test_as_many_agents_as_may_be(team: Team) -> None:
    limits = Limits(agents=2)
    for name in ("a", "b"):
        await team.agent(name, limits=limits, lease_s=1.0)
    with pytest.raises(LimitReachedError, match="got 2 agents"):
        await team.agent("c", limits=limits)

    async def joined() -> bool:
        try:
            await team.agent("c", limits=limits)
        except LimitReachedError:
            return False
        return True

    await until(joined)


async def test_namespaces_never_meet(team: Team) -> None:
    await team.agent("worker")
    other = Team(team.url, f"{team.namespace}-other", team.stack)

    stranger = await other.agent("worker")

    assert len(await stranger.agents()) == 1
    assert await stranger.claim("gpu")
