"""What one agent has, no other has."""

import asyncio

import pytest

from flagscale_workloads.agent.collaboration import (
    Claim,
    ClaimHeldError,
    LeaseEndedError,
    LimitReachedError,
    Limits,
)
from support.teams import Team, until


async def test_a_claim_has_one_holder(team: Team) -> None:
    first, second = await team.agent("first"), await team.agent("second")

    claim = await first.claim("gpu")

    with pytest.raises(ClaimHeldError, match=r"claim gpu: held by first for at least \d+\.\d s"):
        await second.claim("gpu")
    held = await second.holder("gpu")
    assert held is not None
    assert (held.holder, held.token) == ("first", claim.token)
    assert await second.holder("other") is None


async def test_of_many_who_ask_at_once_one_gets_it(team: Team) -> None:
    agents = [await team.agent(f"a{i}") for i in range(12)]

    async def got(index: int) -> bool:
        try:
            await agents[index].claim("gpu")
        except ClaimHeldError:
            return False
        return True

    assert sum(await asyncio.gather(*map(got, range(12)))) == 1


async def test_tokens_only_grow(team: Team) -> None:
    first, second = await team.agent("first"), await team.agent("second")
    tokens = []
    for agent in (first, second, first, second):
        claim = await agent.claim("gpu")
        tokens += [claim.token, (await agent.claim(f"of-{agent.me.name}")).token]
        assert await agent.release(claim)

    assert tokens[0] < tokens[2] < tokens[4] < tokens[6]
    assert tokens[1] == tokens[5]


async def test_a_claim_ends_with_its_holders_lease(team: Team) -> None:
    dying, other = await team.agent("dying", lease_s=0.6), await team.agent("other")
    old = await dying.claim("gpu")
    assert 0 < old.left_s <= 0.6

    new = await other.claim("gpu", wait_s=5)

    assert new.token > old.token
    assert not await dying.release(old)
    assert await other.holder("gpu") is not None
    with pytest.raises(LeaseEndedError):
        await dying.claim("gpu")


async def test_a_claim_ends_when_its_time_is_over(team: Team) -> None:
    first, second = await team.agent("first"), await team.agent("second")
    await first.claim("gpu", at_most_s=0.3)

    claim = await second.claim("gpu", wait_s=5)

    assert claim.holder == "second"


async def test_a_claim_is_renewed_under_its_token(team: Team) -> None:
    agent, other = await team.agent("agent"), await team.agent("other")
    claim = await agent.claim("gpu", at_most_s=1.0)
    renewed: Claim = claim
    loop = asyncio.get_running_loop()
    ends = loop.time() + 1.5
    while loop.time() < ends:
        await asyncio.sleep(0.05)
        renewed = await agent.claim("gpu", at_most_s=1.0)
        with pytest.raises(ClaimHeldError):
            await other.claim("gpu")

    assert renewed.token == claim.token


async def test_who_waits_gets_what_is_released(team: Team) -> None:
    first, second = await team.agent("first"), await team.agent("second")
    claim = await first.claim("gpu")
    waiting = asyncio.create_task(second.claim("gpu", wait_s=10))

    async def waits() -> bool:
        return not waiting.done()

    await until(waits)
    await first.release(claim)

    assert (await waiting).holder == "second"


async def test_a_new_session_has_not_the_claims_of_the_old(team: Team) -> None:
    first = await team.agent("worker")
    old = await first.claim("gpu")
    again = await team.observer()
    found = await first.agent("worker")
    assert found is not None
    await again.register(found.info, take_over=True)

    new = await again.claim("gpu")

    assert new.token > old.token
    with pytest.raises(LeaseEndedError):
        await first.claim("gpu")


async def test_as_many_claims_as_may_be_and_dead_ones_make_room(team: Team) -> None:
    limits = Limits(claims=2)
    agent = await team.agent("agent", limits=limits)
    await agent.claim("a")
    await agent.claim("b", at_most_s=0.6)
    with pytest.raises(LimitReachedError, match="got 2 claims"):
        await agent.claim("c")

    async def claimed() -> bool:
        try:
            await agent.claim("c")
        except LimitReachedError:
            return False
        return True

    await until(claimed)
