"""What the operator knows of matchers' indexes, told over real HTTP by what speaks the protocol."""

from ipaddress import ip_address

import aiohttp

from flagscale_api.runtime.egress import Address
from flagscale_operator.outside.matcher_index import PATIENCE_S, Indexed, MatcherIndex
from support.tool_servers import IndexReplica, serving


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
    replica = IndexReplica()
    with serving(replica.app) as url:
        world = World(url)
        assert world.index.of("a", 1) == Indexed(0, 0)
        await world.look()
    assert world.told == [{"a", "b"}]
    assert world.index.of("a", 1) == Indexed(1, 1)
    assert world.index.of("a", 2) == Indexed(1, 0)
    assert world.index.of("unknown", 1) == Indexed(1, 0)


async def test_an_unchanged_index_costs_nothing() -> None:
    replica = IndexReplica()
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
    replica = IndexReplica()
    replica.report = {"replica": "m-0", "tools": {}, "refused": {"a": 2}}
    with serving(replica.app) as url:
        world = World(url)
        await world.look()
    assert world.index.of("a", 2).refusing == ("m-0",)
    assert world.index.of("a", 3).refusing == ()


async def test_a_silent_matcher_is_believed_for_a_while() -> None:
    with serving(IndexReplica().app) as url:
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
    replica = IndexReplica()
    with serving(replica.app, "127.0.0.2") as url:
        world = World(url)
        world.addresses = ["127.0.0.2"]
        await world.look()
        port = url.rpartition(":")[2]
        newer = IndexReplica()
        newer.report = {"replica": "m-1", "tools": {"a": 5}}
        with serving(newer.app, "127.0.0.3", int(port)):
            world.addresses = ["127.0.0.3"]
            await world.look()
    assert world.index.of("a", 5) == Indexed(1, 1)
    assert world.index.of("b", 2) == Indexed(1, 0)


async def test_nonsense_is_no_report() -> None:
    replica = IndexReplica()
    replica.report = {"tools": "all of them"}
    with serving(replica.app) as url:
        world = World(url)
        await world.look()
    assert world.index.of("a", 1) == Indexed(0, 0)
    assert world.told == []
