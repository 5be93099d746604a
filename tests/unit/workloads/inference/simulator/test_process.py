"""The real process: faults, cancelling, starting and draining."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest

from flagscale_workloads.inference.simulator.engine import DEATH
from support.load import Load, Record, drive
from support.simulator import MODEL, SimulatorProcess, running_simulator

# A constant 100 per second for the time of so many.
LONG: dict[str, Any] = {"model": MODEL, "prompt": "go", "max_tokens": 20_000, "ignore_eos": True}


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorProcess]:
    with running_simulator("--speed=5") as one:
        yield one


@pytest.fixture
async def session(simulator: SimulatorProcess) -> AsyncIterator[aiohttp.ClientSession]:
    """A session with a simulator that has no faults and no requests."""
    async with aiohttp.ClientSession(simulator.url) as one:
        await faults(one)
        yield one


async def faults(session: aiohttp.ClientSession, **some: Any) -> int:
    async with session.post("/simulator/faults", json=some) as response:
        return response.status


async def state(session: aiohttp.ClientSession, **wanted: Any) -> dict[str, Any]:
    """The state, once it is as wanted."""
    async with asyncio.timeout(5):
        while True:
            async with session.get("/simulator/state") as response:
                found: dict[str, Any] = await response.json()
            if all(found[name] == value for name, value in wanted.items()):
                return found
            await asyncio.sleep(0.01)


async def send(simulator: SimulatorProcess, count: int = 1, **fields: Any) -> list[Record]:
    load = Load(100, count / 100, MODEL, arrivals="constant", max_tokens=8, prompt_words=4)
    return await drive(simulator.url, Load(**{**_fields(load), **fields}))


def _fields(load: Load) -> dict[str, Any]:
    return {name: getattr(load, name) for name in Load.__dataclass_fields__}


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_goes_away_frees_all_that_it_held(
    session: aiohttp.ClientSession, *, stream: bool
) -> None:
    before = (await state(session))["aborted"]
    request = asyncio.create_task(session.post("/v1/completions", json={**LONG, "stream": stream}))
    assert (await state(session, running=1))["kv_cache_usage"] > 0
    if stream:
        (await request).close()
    else:
        request.cancel()
    await state(session, running=0, kv_cache_usage=0.0, aborted=before + 1)


async def test_shared_prefixes_are_found_in_the_cache(
    simulator: SimulatorProcess, session: aiohttp.ClientSession
) -> None:
    before = (await state(session))["prefix_cache_hit_tokens"]
    records = await send(simulator, 4, prefixes=1, prefix_words=320)
    assert [record.ending for record in records] == ["done"] * 4
    assert [record.tokens for record in records] == [8] * 4
    assert (await state(session))["prefix_cache_hit_tokens"] - before >= 320


async def test_a_share_of_requests_fails_in_turn(
    simulator: SimulatorProcess, session: aiohttp.ClientSession
) -> None:
    await faults(session, fail_share=0.5, fail_status=502)
    assert [r.status for r in await send(simulator, 4)] == [200, 502] * 2


async def test_a_hung_engine_is_healthy_and_answers_nothing(
    simulator: SimulatorProcess, session: aiohttp.ClientSession
) -> None:
    await faults(session, hang="requests")
    (record,) = await send(simulator, timeout_s=0.2)
    assert (record.ending, record.status) == ("failed", None)
    async with session.get("/health") as response:
        assert response.status == 200


async def test_with_hang_all_only_the_control_endpoints_answer(
    session: aiohttp.ClientSession,
) -> None:
    await faults(session, hang="all")
    with pytest.raises(TimeoutError):
        await session.get("/health", timeout=aiohttp.ClientTimeout(0.2))
    assert (await state(session))["faults"] == {"hang": "all"}


async def test_a_stream_that_stands_still_goes_on_when_healed(
    session: aiohttp.ClientSession,
) -> None:
    await faults(session, hang_after_tokens=3)
    body = {**LONG, "max_tokens": 5, "stream": True}
    async with session.post("/v1/completions", json=body) as response:
        lines = [await response.content.readline() for _ in range(6)]
        assert sum(line.startswith(b"data: {") for line in lines) == 3
        await faults(session)
        assert (await response.content.read()).endswith(b"data: [DONE]\n\n")


async def test_faults_that_do_not_exist_are_refused(session: aiohttp.ClientSession) -> None:
    assert await faults(session, explode=True) == 400
    assert await faults(session, fail_share=2) == 400


async def test_it_dies_in_the_middle_of_a_stream_after_exactly_so_many_tokens() -> None:
    with running_simulator("--die-after-tokens=5", "--speed=5") as one:
        (record,) = await send(one)
        assert (record.ending, record.tokens) == ("truncated", 5)
        assert await asyncio.to_thread(one.process.wait, 5) == DEATH


async def test_it_dies_of_the_request_after_so_many() -> None:
    with running_simulator("--die-after-requests=1", "--speed=50") as one:
        endings = [record.ending for _ in range(2) for record in await send(one)]
        assert endings == ["done", "failed"]
        assert await asyncio.to_thread(one.process.wait, 5) == DEATH


async def test_a_starting_engine_is_not_healthy_and_takes_nothing() -> None:
    with running_simulator("--startup-s=60") as one:
        (record,) = await send(one)
        assert (record.ending, record.status) == ("refused", 503)
        async with aiohttp.ClientSession(one.url) as session, session.get("/health") as response:
            assert response.status == 503


async def test_a_draining_engine_finishes_its_requests_and_exits_with_0() -> None:
    body = {**LONG, "max_tokens": 100, "stream": True}
    with running_simulator("--decode-s=0.01") as one:
        async with (
            aiohttp.ClientSession(one.url) as session,
            session.post("/v1/completions", json=body) as response,
        ):
            one.process.send_signal(signal.SIGTERM)
            await state(session, phase="draining")
            async with session.get("/health") as health:
                assert health.status == 503
            (refused,) = await send(one)
            assert refused.status == 503
            assert (await response.content.read()).endswith(b"data: [DONE]\n\n")
        assert await asyncio.to_thread(one.process.wait, 5) == 0


async def test_requests_beyond_the_grace_are_cut_off() -> None:
    with running_simulator("--grace-s=0.1") as one:
        async with (
            aiohttp.ClientSession(one.url) as session,
            session.post("/v1/completions", json={**LONG, "stream": True}) as response,
        ):
            one.process.send_signal(signal.SIGTERM)
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.content.read()
        assert await asyncio.to_thread(one.process.wait, 5) == 0
