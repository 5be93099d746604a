"""The shared environment: no write is lost, none is made by who lost its claim."""

import asyncio

import pytest

from flagscale_workloads.agent.collaboration import (
    Claim,
    Collaborator,
    ConflictError,
    LimitReachedError,
    Limits,
    StaleClaimError,
)
from support.teams import Team


async def test_a_value_is_read_as_it_was_written(team: Team) -> None:
    agent = await team.agent("agent")
    value = {"door": "open", "objects": [1, 2.5, None, True, "日"], "": {}}

    version = await agent.set("room", value)

    entry = await (await team.observer()).get("room")
    assert entry is not None
    assert (entry.value, entry.version, entry.writer) == (value, version, "agent")
    assert await agent.get("other") is None


async def test_a_write_over_another_version_is_refused(team: Team) -> None:
    agent = await team.agent("agent")
    first = await agent.set("room", 1, expected=0)
    second = await agent.set("room", 2, expected=first)

    with pytest.raises(ConflictError, match=f"version {second} is the current one") as refused:
        await agent.set("room", 3, expected=first)
    with pytest.raises(ConflictError):
        await agent.set("room", 3, expected=0)
    with pytest.raises(ConflictError, match="version 0 is the current one"):
        await agent.set("elsewhere", 3, expected=first)

    assert refused.value.version == second
    assert second > first


async def test_a_deleted_key_never_repeats_a_version(team: Team) -> None:
    agent = await team.agent("agent")
    first = await agent.set("room", 1)
    with pytest.raises(ConflictError):
        await agent.delete("room", expected=first + 1)
    assert await agent.delete("room", expected=first)
    assert not await agent.delete("room")

    second = await agent.set("room", 1, expected=0)

    assert second > first
    with pytest.raises(ConflictError):
        await agent.set("room", 2, expected=first)


async def test_no_count_is_lost_among_many_writers(team: Team) -> None:
    agents = [await team.agent(f"a{i}") for i in range(4)]

    async def add(agent: Collaborator) -> None:
        for _ in range(10):
            while True:
                entry = await agent.get("count")
                value, version = (entry.value, entry.version) if entry else (0, 0)
                try:
                    await agent.set("count", value + 1, expected=version)
                    break
                except ConflictError:
                    continue

    await asyncio.gather(*map(add, agents))

    entry = await agents[0].get("count")
    assert entry is not None
    assert entry.value == 40


async def test_a_write_under_a_lost_claim_is_refused(team: Team) -> None:
    paused, other = await team.agent("paused", lease_s=0.8), await team.agent("other")
    old = await paused.claim("door")
    await paused.set("door", "opening", claim=old)
    new = await other.claim("door", wait_s=5)
    # The newer holder has not written yet: the older one is refused all the same.
    with pytest.raises(StaleClaimError, match=f"got token {old.token}, token {new.token} is newer"):
        await paused.set("door", "open", claim=old)

    await other.set("door", "closed", claim=new)

    with pytest.raises(StaleClaimError):
        await paused.set("door", "open", claim=old)
    with pytest.raises(StaleClaimError):
        await paused.delete("door", claim=old)
    entry = await other.get("door")
    assert entry is not None
    assert (entry.value, entry.token) == ("closed", new.token)


async def test_a_write_under_an_ended_claim_is_refused_though_nobody_has_it(team: Team) -> None:
    agent = await team.agent("agent")
    claim = await agent.claim("door")
    await agent.release(claim)

    with pytest.raises(StaleClaimError, match=f"got token {claim.token}, nobody holds it"):
        await agent.set("door", "open", claim=claim)


async def test_what_is_guarded_is_written_under_a_claim_only(team: Team) -> None:
    agent, other = await team.agent("agent"), await team.agent("other")
    older = await agent.claim("window")
    claim = await agent.claim("door")
    await agent.set("door", "open", claim=claim)
    for refused in (other.set("door", "closed"), other.delete("door")):
        with pytest.raises(StaleClaimError, match=f"written under a claim .token {claim.token}"):
            await refused
    # Another claim, though it holds, is older than the one of the last write.
    with pytest.raises(StaleClaimError):
        await agent.set("door", "closed", claim=older)
    forged = Claim("door", "other", claim.token + 100, 60)
    with pytest.raises(StaleClaimError):
        await other.set("door", "closed", claim=forged)

    assert await agent.delete("door", claim=claim)
    await other.set("door", "free")


async def test_changes_come_in_the_order_of_their_last_write(team: Team) -> None:
    agent = await team.agent("agent")
    for key in ("a", "b", "c"):
        await agent.set(key, key)
    await agent.set("a", "again")
    await agent.delete("b")

    everything = await agent.changes()
    later = await agent.changes(after=everything[0].version, count=1)

    assert [(one.key, one.value) for one in everything] == [("c", "c"), ("a", "again")]
    assert [one.key for one in later] == ["a"]
    assert await agent.changes(after=everything[-1].version) == ()


async def test_as_many_entries_as_may_be(team: Team) -> None:
    agent = await team.agent("agent", limits=Limits(entries=2))
    await agent.set("a", 1)
    await agent.set("b", 1)
    with pytest.raises(LimitReachedError, match="got 2 environment entries"):
        await agent.set("c", 1)
    await agent.set("a", 2)
    await agent.delete("b")

    await agent.set("c", 1)
