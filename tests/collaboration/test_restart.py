"""Redis is killed and started again: what it acknowledged is there, and clients go on."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from flagscale_workloads.agent.collaboration import (
    AgentInfo,
    ClaimHeldError,
    Collaborator,
    LeaseEndedError,
    StoreError,
)
from flagscale_workloads.agent.collaboration.redis_store.connection import RedisOptions
from flagscale_workloads.agent.collaboration.redis_store.store import RedisStore
from flagscale_workloads.agent.collaboration.sqlite_store.store import SqliteStore
from support.lossy_proxy import lossy
from support.teams import Team
from support.valkey import Valkey

CRASHES = 3


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Valkey]:
    """A server that a test may kill."""
    server = Valkey(tmp_path / "server").start()
    yield server
    server.stop()


@pytest.fixture
async def shaken(own_server: Valkey) -> AsyncIterator[Team]:
    """A team on it."""
    async with AsyncExitStack() as stack:
        yield Team(own_server.url, "shaken", stack)


async def crash(server: Valkey) -> None:
    server.kill()
    await asyncio.sleep(0.1)
    await asyncio.to_thread(server.start)


async def test_no_acknowledged_message_is_lost(own_server: Valkey, shaken: Team) -> None:
    sender, reader = await shaken.agent("sender"), await shaken.agent("reader")
    await reader.subscribe("jobs")
    sent: list[int] = []
    done: list[int] = []
    crashes_over = asyncio.Event()
    many = asyncio.Semaphore(0)

    async def send_all() -> None:
        while not crashes_over.is_set():
            await sender.send("jobs", len(sent))
            sent.append(len(sent))
            many.release()

    async def work_off(sending: asyncio.Task[None]) -> None:
        while not sending.done() or set(done) != set(sent):
            for one in await reader.receive("jobs", wait_s=0.2, redeliver_after_s=1.0):
                done.append(one.message.body)
                await reader.ack(one)

    async with asyncio.TaskGroup() as group:
        sending = group.create_task(send_all())
        group.create_task(work_off(sending))
        for _ in range(CRASHES):
            for _ in range(50):
                await many.acquire()
            await crash(own_server)
        crashes_over.set()

    assert set(done) == set(sent)
    kept = [one.body for one in await reader.replay("jobs", count=100)]
    # Repeated by a client that got no answer, a message is still there once, and in order.
    assert kept == list(range(len(kept)))
    (group_report,) = (await reader.channel("jobs")).groups
    assert group_report.pending == 0


async def test_claims_leases_and_tokens_survive(own_server: Valkey, shaken: Team) -> None:
    agent, other = await shaken.agent("agent"), await shaken.agent("other")
    claim = await agent.claim("gpu")
    version = await agent.set("room", "before", claim=claim)

    await crash(own_server)

    await agent.heartbeat()
    with pytest.raises(ClaimHeldError, match="held by agent"):
        await other.claim("gpu")
    entry = await other.get("room")
    assert entry is not None
    assert (entry.value, entry.version) == ("before", version)
    assert await agent.release(claim)
    assert (await other.claim("gpu")).token > claim.token
    assert len(await other.agents()) == 2


async def test_a_lease_that_ends_during_the_outage_has_ended(
    own_server: Valkey, shaken: Team
) -> None:
    agent, other = await shaken.agent("agent", lease_s=0.8), await shaken.agent("other")
    old = await agent.claim("gpu")
    own_server.kill()
    await asyncio.sleep(0.9)
    await asyncio.to_thread(own_server.start)

    with pytest.raises(LeaseEndedError):
        await agent.heartbeat()
    assert (await other.claim("gpu")).token > old.token


async def test_a_write_is_made_once_though_its_answer_was_lost(
    own_server: Valkey, shaken: Team
) -> None:
    agent = await shaken.agent("agent")
    version = await agent.set("count", 0)
    writes = 0
    crashing = asyncio.create_task(crash(own_server))
    while not crashing.done() or writes < 50:
        version = await agent.set("count", writes + 1, expected=version)
        writes += 1
    await crashing

    entry = await agent.get("count")
    assert entry is not None
    assert entry.value == writes


async def test_a_server_that_stays_away_is_an_error_in_time(tmp_path: Path) -> None:
    server = Valkey(tmp_path).start()
    options = RedisOptions(server.url, patience_s=0.3)
    store = await RedisStore.open("away", options)
    agent = Collaborator(store)
    await agent.register(AgentInfo("agent"))
    server.kill()

    for call in (agent.heartbeat(), agent.send("x", 1), agent.replay("x"), agent.get("x")):
        with pytest.raises(StoreError, match="Redis: did not do it, got "):
            await call

    await store.close()


class RebootedClock:
    """A machine's clock, some boots later."""

    def __init__(self, boot: str, now_ms: int) -> None:
        self.boot = boot
        self._now_ms = now_ms

    def now_ms(self) -> int:
        return self._now_ms


async def test_after_a_reboot_no_lease_runs_and_every_message_is_there(tmp_path: Path) -> None:
    before = Collaborator(await SqliteStore.open("x", tmp_path, RebootedClock("first", 10_000_000)))
    await before.register(AgentInfo("agent"), lease_s=3600)
    old = await before.claim("gpu")
    await before.subscribe("jobs")
    await before.send("jobs", "kept")
    assert len(await before.receive("jobs")) == 1
    await before.store.close()

    after = Collaborator(await SqliteStore.open("x", tmp_path, RebootedClock("second", 5)))

    assert await after.agents() == ()
    await after.register(AgentInfo("agent"))
    assert (await after.claim("gpu")).token > old.token
    (again,) = await after.receive("jobs", redeliver_after_s=3600)
    assert (again.message.body, again.deliveries) == ("kept", 2)
    await after.store.close()


async def test_what_was_done_is_not_done_again_for_a_lost_answer(
    valkey: Valkey, namespace: str, tmp_path: Path
) -> None:
    """The connection breaks after the server has done it, before it says so."""
    at = tmp_path / "lossy.sock"
    async with (
        lossy(valkey.socket, at) as proxy,
        Collaborator.connect(f"unix://{at}", namespace) as agent,
    ):
        # Scripts are loaded, so that the next call of each is the one whose answer is lost.
        await agent.register(AgentInfo("agent"))
        await agent.claim("other")
        await agent.subscribe("other")
        await agent.send("other", 0)
        version = await agent.set("count", 0)
        before = proxy.lost

        async def losing(call: Awaitable[Any]) -> Any:
            proxy.to_lose = 1
            return await call

        assert (await losing(agent.register(AgentInfo("agent")))).number == agent.me.number
        claim = await losing(agent.claim("gpu"))
        await losing(agent.subscribe("jobs"))
        message_id = await losing(agent.send("jobs", "once"))
        written = await losing(agent.set("count", 1, expected=version))

        assert proxy.lost == before + 5
        held = await agent.holder("gpu")
        assert held is not None
        assert held.token == claim.token
        assert [one.id for one in await agent.replay("jobs")] == [message_id]
        entry = await agent.get("count")
        assert entry is not None
        assert (entry.value, entry.version) == (1, written)
