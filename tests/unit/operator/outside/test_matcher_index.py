"""What the operator knows of matchers' indexes, told over real HTTP by what speaks the protocol."""

from ipaddress import ip_address
from typing import Any

import aiohttp
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from flagscale_api.runtime.egress import Address
from flagscale_api.runtime.tool_index import INDEX_PATH
from flagscale_operator.outside.matcher_index import PATIENCE_S, Indexed, MatcherIndex
from support.tool_servers import serving


class Replica:
    """Answers `GET /v1/index` as a matcher does."""

    def __init__(self) -> None:
        self.report: dict[str, Any] = {"replica": "m-0", "tools": {"a": 1, "b": 2}}
        self.etag = '"1"'
        self.answers: list[int] = []

    @property
    def app(self) -> ASGIApp:
        return Starlette(routes=[Route(INDEX_PATH, self._answer)])

    async def _answer(self, request: Request) -> Response:
        same = request.headers.get("if-none-match") == self.etag
        self.answers.append(304 if same else 200)
        if same:
            return Response(status_code=304)
        return JSONResponse(self.report, headers={"ETag": self.etag})


class World:
    def __init__(self, url: str) -> None:
        self.told: list[set[str]] = []
        self.addresses = ["127.0.0.1"]
        self.now_s = 0.0
        self.index = MatcherIndex(
            url, self.told.append, resolver=self._resolve, clock=lambda: self.now_s
        )

    async def _resolve(self, host: str, port: int) -> list[Address]:
        if not self.addresses:
            raise OSError
        return [ip_address(one) for one in self.addresses]

    async def look(self) -> None:
        async with aiohttp.ClientSession() as session:
            await self.index.look(session)


async def test_generations_are_those_that_every_replica_has() -> None:
    replica = Replica()
    with serving(replica.app) as url:
        world = World(url)
        assert world.index.of("a", 1) == Indexed(0, 0)
        await world.look()
    assert world.told == [{"a", "b"}]
    assert world.index.of("a", 1) == Indexed(1, 1)
    assert world.index.of("a", 2) == Indexed(1, 0)
    assert world.index.of("unknown", 1) == Indexed(1, 0)


async def test_an_unchanged_index_costs_nothing() -> None:
    replica = Replica()
    with serving(replica.app) as url:
        world = World(url)
        for _ in range(3):
            await world.look()
        replica.report["tools"] = {"a": 2, "c": 1}
        replica.etag = '"2"'
        await world.look()
    assert replica.answers == [200, 304, 304, 200]
    assert world.told == [{"a", "b"}, {"a", "b", "c"}]


async def test_a_refused_tool_is_told() -> None:
    replica = Replica()
    replica.report = {"replica": "m-0", "tools": {}, "refused": {"a": 2}}
    with serving(replica.app) as url:
        world = World(url)
        await world.look()
    assert world.index.of("a", 2).refusing == ("m-0",)
    assert world.index.of("a", 3).refusing == ()


async def test_a_silent_matcher_is_believed_for_a_while() -> None:
    with serving(Replica().app) as url:
        world = World(url)
        await world.look()
    world.addresses = []
    world.now_s = PATIENCE_S - 1
    await world.look()
    assert world.index.of("a", 1) == Indexed(1, 1)
    world.now_s = PATIENCE_S + 1
    await world.look()
    assert world.index.of("a", 1) == Indexed(0, 0, away=True)
    assert world.told == [{"a", "b"}, {"a", "b"}]


async def test_a_replica_that_is_replaced_counts_no_longer() -> None:
    replica = Replica()
    with serving(replica.app, "127.0.0.2") as url:
        world = World(url)
        world.addresses = ["127.0.0.2"]
        await world.look()
        port = url.rpartition(":")[2]
        newer = Replica()
        newer.report = {"replica": "m-1", "tools": {"a": 5}}
        with serving(newer.app, "127.0.0.3", int(port)):
            world.addresses = ["127.0.0.3"]
            await world.look()
    assert world.index.of("a", 5) == Indexed(1, 1)
    assert world.index.of("b", 2) == Indexed(1, 0)


async def test_nonsense_is_no_report() -> None:
    replica = Replica()
    replica.report = {"tools": "all of them"}
    with serving(replica.app) as url:
        world = World(url)
        await world.look()
    assert world.index.of("a", 1) == Indexed(0, 0)
    assert world.told == []
