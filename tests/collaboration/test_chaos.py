"""What holds while agents and the store are killed, and while clocks are wrong."""

import asyncio
import random
import time
from pathlib import Path
from typing import Any

import pytest

from flagscale_workloads.agent.collaboration import ClaimHeldError, StaleClaimError
from support.agent_process import AgentProcess, Part, playing
from support.teams import SLACK_S, Team, until


async def heard(process: AgentProcess, key: str) -> Any:
    return await asyncio.to_thread(process.heard, key)


async def test_a_killed_agent_and_its_claim_are_gone_within_its_lease(
    team: Team, tmp_path: Path
) -> None:
    other = await team.agent("other")
    with playing(tmp_path) as start:
        dying = start(Part("sit", team.url, team.namespace, "dying", lease_s=1.0))
        token = await heard(dying, "token")
        with pytest.raises(ClaimHeldError, match="held by dying"):
            await other.claim("dyings-thing")

        await asyncio.to_thread(dying.kill)

        async def gone() -> bool:
            await other.heartbeat()
            return await other.agent("dying") is None

        took_s = await until(gone)
        claim = await other.claim("dyings-thing")

    assert took_s <= 1.0 + SLACK_S
    assert claim.token > token


async def test_no_count_is_lost_while_holders_of_a_claim_are_killed(
    team: Team, tmp_path: Path
) -> None:
    observer = await team.observer()
    kills = 0
    with playing(tmp_path) as start:

        def join(number: int) -> AgentProcess:
            name = f"counter-{number}"
            return start(Part("count", team.url, team.namespace, name, lease_s=1.5))

        everyone = [join(n) for n in range(3)]
        living = list(everyone)
        for process in living:
            await heard(process, "registered")
        while kills < 3:
            await asyncio.sleep(random.uniform(0.1, 0.5))
            victim = living.pop(random.randrange(len(living)))
            await asyncio.to_thread(victim.kill)
            kills += 1
            everyone.append(join(len(everyone)))
            living.append(everyone[-1])
        await heard(living[-1], "counted")
        for process in living:
            await asyncio.to_thread(process.kill)
        lines = [line for process in everyone for line in process.lines() if "counted" in line]

    entry = await observer.get("number")
    assert entry is not None
    counted = sorted(line["counted"] for line in lines)
    # Each number was reached by one holder: had two held the claim, one would be there twice.
    assert len(set(counted)) == len(counted)
    # Only who was killed between its write and its line is missing.
    assert len(counted) <= entry.value <= len(counted) + kills + 3
    by_number = sorted(lines, key=lambda line: line["counted"])
    tokens = [line["token"] for line in by_number]
    assert tokens == sorted(set(tokens))


async def test_what_a_killed_consumer_had_goes_to_another(team: Team, tmp_path: Path) -> None:
    sender, alive = await team.agent("sender"), await team.agent("alive")
    await sender.subscribe("jobs", "workers")
    for n in range(5):
        await sender.send("jobs", n)
    with playing(tmp_path) as start:
        dying = start(Part("grab", team.url, team.namespace, "dying"))
        assert await heard(dying, "got") == [0, 1, 2, 3, 4]
        await asyncio.to_thread(dying.kill)

    got = await alive.receive("jobs", "workers", wait_s=10, redeliver_after_s=0.5)

    assert [(one.message.body, one.deliveries) for one in got] == [(n, 2) for n in range(5)]


async def test_every_message_is_worked_off_while_consumers_are_killed(
    team: Team, tmp_path: Path
) -> None:
    sender = await team.agent("sender")
    await sender.subscribe("jobs", "workers")
    total = 200
    with playing(tmp_path) as start:

        def join(number: int) -> AgentProcess:
            return start(Part("consume", team.url, team.namespace, f"worker-{number}"))

        everyone = [join(n) for n in range(2)]
        await heard(everyone[0], "registered")
        for n in range(total):
            await sender.send("jobs", n)
            if n % 60 == 59:
                await asyncio.to_thread(everyone[-2].kill)
                everyone.append(join(len(everyone)))

        async def drained() -> bool:
            (group,) = (await sender.channel("jobs")).groups
            return group.pending == group.waiting == 0

        await until(drained, 30)
        done = [line["done"] for one in everyone for line in one.lines() if "done" in line]

    assert set(done) == set(range(total))


async def test_a_wrong_clock_neither_ends_nor_prolongs_a_lease(team: Team, tmp_path: Path) -> None:
    right = await team.agent("right")
    day_s = {"late": -86_400.0, "early": 86_400.0}
    with playing(tmp_path) as start:
        processes = [
            start(Part("sit", team.url, team.namespace, name, lease_s=2.0, skew_s=skew_s))
            for name, skew_s in day_s.items()
        ]
        tokens = [await heard(process, "token") for process in processes]
        held_until = time.monotonic() + 2.5
        while time.monotonic() < held_until:
            for name in day_s:
                with pytest.raises(ClaimHeldError, match=f"held by {name}"):
                    await right.claim(f"{name}s-thing")
                found = await right.agent(name)
                assert found is not None
                assert 0 < found.left_s <= 2.0
            await asyncio.sleep(0.05)

        for process in processes:
            await asyncio.to_thread(process.kill)
        started = time.monotonic()
        claims = [await right.claim(f"{name}s-thing", wait_s=10) for name in day_s]
        took_s = time.monotonic() - started

    assert took_s <= 2.0 + SLACK_S
    assert min(claim.token for claim in claims) > max(tokens)
    for name in day_s:
        with pytest.raises(StaleClaimError):
            await right.set(f"{name}s-value", 2)
