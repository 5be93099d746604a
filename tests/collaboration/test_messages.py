"""Messages: at least once, acknowledged, kept for replay, bounded."""

import asyncio

import pytest

from flagscale_workloads.agent.collaboration import (
    ChannelFullError,
    LimitReachedError,
    Limits,
    NotSubscribedError,
)
from support.teams import Team


async def test_every_group_gets_every_message_in_order(team: Team) -> None:
    sender = await team.agent("sender")
    readers = [await team.agent("one"), await team.agent("two")]
    for reader in readers:
        assert await reader.subscribe("orders")
        assert not await reader.subscribe("orders")
    bodies = [{"n": n, "text": "日本 \n \x00"} for n in range(25)]
    for body in bodies:
        await sender.send("orders", body)

    for reader in readers:
        got = []
        while deliveries := await reader.receive("orders"):
            for delivery in deliveries:
                assert (delivery.message.sender, delivery.deliveries) == ("sender", 1)
                got.append(delivery.message.body)
                assert await reader.ack(delivery)
                assert not await reader.ack(delivery)
        assert got == bodies


async def test_within_a_group_each_message_goes_to_one_consumer(team: Team) -> None:
    sender = await team.agent("sender")
    workers = [await team.agent("w1"), await team.agent("w2")]
    await workers[0].subscribe("jobs", "workers")
    for n in range(20):
        await sender.send("jobs", n)

    batches = await asyncio.gather(*(w.receive("jobs", "workers", count=15) for w in workers))

    got = [delivery.message.body for batch in batches for delivery in batch]
    assert sorted(got) == list(range(20))


async def test_what_is_not_acknowledged_comes_again_after_an_idle_time(team: Team) -> None:
    sender, dead, alive = [await team.agent(name) for name in ("sender", "dead", "alive")]
    await dead.subscribe("jobs", "workers")
    await sender.send("jobs", "precious")
    (first,) = await dead.receive("jobs", "workers")
    assert await alive.receive("jobs", "workers", redeliver_after_s=0.8) == ()

    (again,) = await alive.receive("jobs", "workers", wait_s=10, redeliver_after_s=0.8)

    assert again.message == first.message
    assert again.deliveries == 2
    await alive.ack(again)
    assert await dead.receive("jobs", "workers", wait_s=0.3, redeliver_after_s=0.05) == ()


async def test_who_waits_gets_a_message_when_it_comes(team: Team) -> None:
    sender, reader = await team.agent("sender"), await team.agent("reader")
    await reader.subscribe("news")
    waiting = asyncio.create_task(reader.receive("news", wait_s=20))
    await sender.send("news", "now")

    (delivery,) = await waiting

    assert delivery.message.body == "now"


async def test_nothing_comes_within_the_time(team: Team) -> None:
    reader = await team.agent("reader")
    await reader.subscribe("news")

    assert await reader.receive("news", wait_s=0.05) == ()


async def test_a_late_group_gets_what_is_kept_or_only_what_comes(team: Team) -> None:
    sender = await team.agent("sender")
    await sender.send("news", "old")
    await sender.subscribe("news", "all")
    await sender.subscribe("news", "new", from_start=False)
    await sender.send("news", "fresh")

    got = {
        group: [one.message.body for one in await sender.receive("news", group)]
        for group in ("all", "new")
    }

    assert got == {"all": ["old", "fresh"], "new": ["fresh"]}


async def test_a_replay_shows_what_was_acknowledged_too(team: Team) -> None:
    agent = await team.agent("agent")
    await agent.subscribe("log")
    ids = [await agent.send("log", n) for n in range(5)]
    for delivery in await agent.receive("log"):
        await agent.ack(delivery)

    observer = await team.observer()
    everything = await observer.replay("log")
    rest = await observer.replay("log", after=ids[1], count=2)

    assert [(one.id, one.body) for one in everything] == list(zip(ids, range(5), strict=True))
    assert [one.body for one in rest] == [2, 3]
    assert await agent.receive("log") == ()


async def test_a_message_sent_again_with_its_key_is_the_same(team: Team) -> None:
    agent, other = await team.agent("agent"), await team.agent("other")

    ids = {await agent.send("log", "once", key="order-1") for _ in range(3)}
    foreign = await other.send("log", "mine", key="order-1")

    assert len(ids) == 1
    assert foreign not in ids
    assert len(await agent.replay("log")) == 2


async def test_a_full_channel_drops_only_what_every_group_has_acknowledged(team: Team) -> None:
    agent = await team.agent("agent", limits=Limits(messages=3))
    await agent.subscribe("log", "fast")
    await agent.subscribe("log", "slow")
    for n in range(3):
        await agent.send("log", n)
    for delivery in await agent.receive("log", "fast"):
        await agent.ack(delivery)
    with pytest.raises(ChannelFullError, match="group slow has not acknowledged the oldest"):
        await agent.send("log", 3)
    (first, *_) = await agent.receive("log", "slow")
    with pytest.raises(ChannelFullError, match="full with 3 messages, group slow"):
        await agent.send("log", 3)

    await agent.ack(first)
    await agent.send("log", 3)

    assert [one.body for one in await agent.replay("log")] == [1, 2, 3]
    with pytest.raises(ChannelFullError):
        await agent.send("log", 4)
    assert await agent.unsubscribe("log", "slow")
    # Message 3 is the first that the other group has not acknowledged.
    for n in (4, 5):
        await agent.send("log", n)
    with pytest.raises(ChannelFullError, match="group fast"):
        await agent.send("log", 6)


async def test_a_channel_without_groups_keeps_the_newest(team: Team) -> None:
    agent = await team.agent("agent", limits=Limits(messages=3))
    for n in range(10):
        await agent.send("log", n, key=f"k{n}")

    assert [one.body for one in await agent.replay("log")] == [7, 8, 9]
    await agent.send("log", "a new one", key="k0")
    assert [one.body for one in await agent.replay("log")] == [8, 9, "a new one"]


async def test_a_report_tells_how_far_each_group_is(team: Team) -> None:
    agent = await team.agent("agent")
    await agent.subscribe("log", "a")
    await agent.subscribe("log", "b")
    for n in range(5):
        await agent.send("log", n)
    (first, *_) = await agent.receive("log", "a", count=3)
    await agent.ack(first)

    report = await agent.channel("log")

    assert report.length == 5
    assert [(one.name, one.pending, one.waiting) for one in report.groups] == [
        ("a", 2, 2),
        ("b", 0, 5),
    ]


async def test_a_deleted_channel_is_empty(team: Team) -> None:
    agent = await team.agent("agent", limits=Limits(channels=1))
    await agent.subscribe("log")
    await agent.send("log", "gone")
    with pytest.raises(LimitReachedError, match="got 1 channels"):
        await agent.send("other", 1)

    assert await agent.delete_channel("log")

    assert not await agent.delete_channel("log")
    assert await agent.replay("log") == ()
    with pytest.raises(NotSubscribedError, match="channel log: has no group agent; subscribe"):
        await agent.receive("log", wait_s=1)
    await agent.send("other", 1)


async def test_a_channel_has_as_many_groups_as_may_be(team: Team) -> None:
    agent = await team.agent("agent", limits=Limits(groups=2))
    for group in ("a", "b"):
        await agent.subscribe("log", group)

    with pytest.raises(LimitReachedError, match="got 2 groups of the channel"):
        await agent.subscribe("log", "c")

    assert await agent.unsubscribe("log", "a")
    assert not await agent.unsubscribe("log", "a")
    assert not await agent.unsubscribe("nowhere", "a")
    await agent.subscribe("log", "c")
