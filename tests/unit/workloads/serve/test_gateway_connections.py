"""Clients that are slow or gone, replicas that are gone, and what is never logged."""

import asyncio

import pytest

from flagscale_workloads.serve.http.upstream import Timeouts, UpstreamPool
from support.gateways import CHAT, HELLO, running_gateway
from support.scripted_engine import ScriptedEngine, scripted_engine

from .test_gateway import ask


async def test_a_client_that_takes_nothing_holds_the_engine_back_and_is_cut_off() -> None:
    async with (
        scripted_engine("flood") as engine,
        running_gateway(engine.port, gateway={"idleTimeoutSeconds": 1}) as gateway,
    ):
        client = await gateway.connect()
        client.post(CHAT, HELLO | {"stream": True})
        assert (await client.head())[0] == 200

        assert await gateway.until_cut_off(engine) < 16 << 20
        # It was no fault of the replica's.
        assert [replica.failures for replica in gateway.service.replicas] == [0]
        assert await gateway.metric("flagscale_errors_total") == 1
        await client.close()


async def test_an_engine_that_is_not_read_from_is_not_silent() -> None:
    loop = asyncio.get_running_loop()
    async with scripted_engine("flood") as engine:
        pool = UpstreamPool("127.0.0.1", engine.port)
        connection = await pool.acquire()
        connection.request(
            b"POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n", timeouts=Timeouts(5, 0.01, 60)
        )
        await connection.head()
        while connection.deadline < loop.time() + 1:  # noqa: ASYNC110 - until it holds enough
            await asyncio.sleep(0.01)

        pool.expire(loop.time() + 1)

        assert await connection.read()
        assert connection.deadline < loop.time() + 1
        pool.release(connection)
        await all_closed(engine)


async def test_nothing_of_a_request_or_an_answer_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    secret = {"messages": [{"role": "user", "content": "my-secret"}], "stream": True}
    async with (
        scripted_engine("500", "drop", "halves", "cut", "stream") as engine,
        running_gateway(engine.port, gateway={"retries": 0}) as gateway,
    ):
        for _ in range(5):
            await ask(gateway, secret)
        await ask(gateway, secret | {"model": "my-secret"})
        await ask(gateway, secret | {"stream": "my-secret"})

    assert "truncated" in caplog.text
    assert "my-secret" not in caplog.text
    assert "broken" not in caplog.text


async def test_a_body_that_is_no_json_is_refused() -> None:
    async with scripted_engine() as engine, running_gateway(engine.port) as gateway:
        client = await gateway.connect()
        client.send(f"POST {CHAT} HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{{,".encode())
        answer = await client.answer()
        await client.close()

    assert (answer.status, answer.json()["error"]["code"]) == (400, "invalid_json")
    assert engine.requests == []


async def all_closed(engine: ScriptedEngine) -> None:
    async with asyncio.timeout(5):
        while engine.connections:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_removed_replica_keeps_no_connection() -> None:
    async with scripted_engine() as engine, running_gateway(engine.port) as gateway:
        replica = gateway.service.replicas.get("r0")
        assert replica
        # One that is in use when the replica goes must not stay open when it is given back.
        connection = await replica.pool.acquire(fresh=True)
        gateway.service.replicas.remove("r0")
        replica.pool.release(connection)

        await all_closed(engine)


async def test_a_stopped_gateway_keeps_no_connection() -> None:
    async with scripted_engine() as engine:
        async with running_gateway(engine.port, health={"intervalSeconds": 60}) as gateway:
            await ask(gateway)
            assert engine.connections

        await all_closed(engine)
