"""Engines are killed, hang and slow down under load: nothing is lost, nothing silently cut."""

import asyncio
from collections import Counter
from typing import Any

import aiohttp
import pytest

from support.gateways import CHAT, HELLO, RunningGateway, serving_simulators
from support.load import Load, Record, drive

RATE_PER_S = 50


def engine(gateway: RunningGateway, number: int) -> str:
    replica = gateway.service.replicas.get(f"simulator-{number}")
    assert replica
    return f"http://127.0.0.1:{replica.port}"


async def set_faults(url: str, **faults: Any) -> None:
    path = f"{url}/simulator/faults"
    async with aiohttp.ClientSession() as session, session.post(path, json=faults) as answer:
        assert answer.status == 200, await answer.text()


async def state(url: str) -> dict[str, int]:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/simulator/state") as answer:
        found: dict[str, int] = await answer.json()
        return found


async def endings(gateway: RunningGateway, *, stream: bool, faults: dict[str, Any]) -> list[Record]:
    """The load, with faults in three engines at its middle."""
    load = Load(RATE_PER_S, 6.0, "sim", stream=stream, max_tokens=16, timeout_s=30)
    driving = asyncio.create_task(drive(f"http://127.0.0.1:{gateway.port}", load))
    await asyncio.sleep(2)
    for number, fault in enumerate(faults.values()):
        await set_faults(engine(gateway, number), **fault)
    return await driving


FAULTS: dict[str, dict[str, Any]] = {
    "killed": {"die_after_requests": 3},
    "hung": {"hang": "all"},
    "slow": {"slow_factor": 5},
}


async def test_no_whole_answer_is_lost_while_engines_die_hang_and_slow_down() -> None:
    async with serving_simulators(3) as gateway:
        records = await endings(gateway, stream=False, faults=FAULTS)

        assert len(records) > 200
        assert Counter(r.ending for r in records) == {"done": len(records)}
        assert sum(gateway.loads()) == 0


async def test_no_stream_is_cut_without_an_error_event() -> None:
    async with serving_simulators(3, gateway={"idleTimeoutSeconds": 2}) as gateway:
        records = await endings(gateway, stream=True, faults=FAULTS)

        counted = Counter(r.ending for r in records)
        assert set(counted) <= {"done", "error_event"}
        assert counted["error_event"] < 0.2 * len(records)
        assert sum(gateway.loads()) == 0


async def test_draining_loses_nothing_that_was_taken_in() -> None:
    async with serving_simulators(2) as gateway:
        load = Load(RATE_PER_S, 3.0, "sim", stream=False, max_tokens=64, timeout_s=30)
        driving = asyncio.create_task(drive(f"http://127.0.0.1:{gateway.port}", load))
        await asyncio.sleep(1.5)

        await gateway.service.stop()
        records = await driving

    taken = [r for r in records if r.status is not None]
    assert len(taken) > 50
    assert {r.ending for r in taken} == {"done"}
    # Those after it found no door at all: they know that nothing was done for them.
    assert {r.ending for r in records} - {"done"} <= {"failed"}


@pytest.mark.parametrize("stream", [True, False])
async def test_a_cancel_reaches_the_engine_within_a_second(*, stream: bool) -> None:
    async with serving_simulators(1) as gateway, aiohttp.ClientSession() as session:
        body = HELLO | {"model": "sim", "stream": stream, "max_tokens": 10_000}
        url = f"http://127.0.0.1:{gateway.port}{CHAT}"
        asking = asyncio.create_task(session.post(url, json=body))
        while not (await state(engine(gateway, 0)))["running"]:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        if stream:
            (await asking).close()
        else:
            asking.cancel()

        async with asyncio.timeout(1):
            while (await state(engine(gateway, 0)))["running"]:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert gateway.loads() == [0]


async def test_a_dead_engine_comes_back_and_serves() -> None:
    async with serving_simulators(1, gateway={"queue": {"timeoutSeconds": 20}}) as gateway:
        await set_faults(engine(gateway, 0), die_after_requests=0)
        load = Load(5, 2.0, "sim", stream=False, max_tokens=4, timeout_s=30)

        records = await drive(f"http://127.0.0.1:{gateway.port}", load)

        # With a single engine, what it held when it died has nowhere to go; the rest waits for it.
        counted = Counter(r.ending for r in records)
        assert counted["done"] >= len(records) - 2
        assert sum(gateway.loads()) == 0
