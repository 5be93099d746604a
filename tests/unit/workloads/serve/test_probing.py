"""Who fails the requests that wait for it: an engine that is silent, not one that is closing."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from flagscale_workloads.serve.http.upstream import Timeouts, UpstreamError
from flagscale_workloads.serve.probing import Prober
from flagscale_workloads.serve.replicas import Replica, ReplicaSet

LONG = Timeouts(60, 60, 60)
ASK = b"POST /ask HTTP/1.1\r\nhost: e\r\ncontent-length: 0\r\n\r\n"


class Engine:
    """Says a status of its health, or nothing; answers are released by the test."""

    def __init__(self) -> None:
        self.health: int | None = 200
        self.asked, self.answer = asyncio.Event(), asyncio.Event()
        self.never = asyncio.Event()

    async def healthy(self, _: web.Request) -> web.Response:
        if self.health is None:
            await self.never.wait()
        return web.Response(status=self.health or 0)

    async def ask(self, _: web.Request) -> web.Response:
        self.asked.set()
        await self.answer.wait()
        return web.Response(text="whole")


@pytest.fixture
async def engine() -> AsyncIterator[tuple[Engine, Replica, ReplicaSet]]:
    made, app = Engine(), web.Application()
    app.router.add_get("/health", made.healthy)
    app.router.add_post("/ask", made.ask)
    async with TestServer(app) as server:
        assert server.port is not None
        replicas = ReplicaSet()
        replica = Replica.at("r", "127.0.0.1", server.port)
        replicas.add(replica)
        yield made, replica, replicas
        made.answer.set()
        made.never.set()


def prober(replicas: ReplicaSet, *, doors: bool = True) -> Prober:
    return Prober(
        replicas,
        "/health",
        interval_s=1,
        timeout_s=0.05,
        failures=2,
        now=asyncio.get_running_loop().time,
        doors=doors,
    )


async def ask(replica: Replica) -> bytes:
    replica.outstanding += 1
    connection = await replica.pool.acquire()
    try:
        connection.request(
            b"POST /ask HTTP/1.1\r\nhost: e\r\ncontent-length: 0\r\n\r\n", timeouts=LONG
        )
        await connection.head()
        return await connection.read_all(100)
    finally:
        replica.pool.release(connection)
        replica.outstanding -= 1


@pytest.mark.parametrize("removed", [False, True])
@pytest.mark.parametrize(
    ("health", "doors", "kept"), [(503, True, True), (503, False, False), (None, True, False)]
)
async def test_running_requests_of_a_replica_that_goes(
    engine: tuple[Engine, Replica, ReplicaSet],
    health: int | None,
    doors: bool,  # noqa: FBT001 - a parameter of the test
    kept: bool,  # noqa: FBT001
    removed: bool,  # noqa: FBT001
) -> None:
    made, replica, replicas = engine
    probes = prober(replicas, doors=doors)
    await probes.probe_all()
    asked = asyncio.create_task(ask(replica))
    await made.asked.wait()
    made.health = health
    if removed:
        replicas.remove("r")
    for _ in range(2):
        await probes.probe_all()
    made.answer.set()

    assert not replica.ready
    if kept:
        assert await asked == b"whole"
    else:
        with pytest.raises(UpstreamError):
            await asked


async def test_a_replica_that_left_is_forgotten_once_its_requests_have_ended(
    engine: tuple[Engine, Replica, ReplicaSet],
) -> None:
    made, replica, replicas = engine
    asked = asyncio.create_task(ask(replica))
    await made.asked.wait()
    replicas.remove("r")
    replicas.expire(asyncio.get_running_loop().time())
    assert replicas.leaving == {replica}
    made.answer.set()
    await asked
    replicas.expire(asyncio.get_running_loop().time())
    assert replicas.leaving == set()


async def test_who_is_added_is_asked_before_the_next_round(
    engine: tuple[Engine, Replica, ReplicaSet],
) -> None:
    _, replica, known = engine
    replicas, heard = ReplicaSet(), asyncio.Event()
    replicas.on_change.append(heard.set)
    rounds = prober(replicas)
    rounds.interval_s = 3600
    task = asyncio.create_task(rounds.run())
    await asyncio.sleep(0)

    replicas.add(replica)
    async with asyncio.timeout(10):
        while not replica.ready:
            heard.clear()
            await heard.wait()
    task.cancel()

    assert [r.ready for r in known] == [True]
