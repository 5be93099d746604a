import socket
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from flagscale_api.runtime.serve import DiscoverySpec
from flagscale_workloads.serve.discovery import EARLY_FROM, Discovery, FileDiscovery
from flagscale_workloads.serve.replicas import ReplicaSet
from support.gateways import CHAT, HELLO, running_gateway
from support.scripted_engine import scripted_engine


def found_by(discovery: Discovery) -> set[str]:
    return {replica.name for replica in discovery.replicas}


def test_replicas_come_and_go_with_their_addresses_and_the_others_stay() -> None:
    discovery = Discovery(ReplicaSet(), "engines", 80)

    discovery.keep(frozenset({"10.0.0.1", "10.0.0.2"}))
    kept = discovery.replicas.get("10.0.0.2")
    discovery.keep(frozenset({"10.0.0.2", "10.0.0.3"}))

    assert found_by(discovery) == {"10.0.0.2", "10.0.0.3"}
    assert discovery.replicas.get("10.0.0.2") is kept


async def test_a_name_that_does_not_exist_has_no_replicas() -> None:
    discovery = Discovery(ReplicaSet(), "none.invalid", 80)
    assert await discovery.addresses("none.invalid") in (frozenset(), None)


async def test_a_resolver_that_fails_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    monkeypatch.setattr(socket, "getaddrinfo", fail)

    discovery = Discovery(ReplicaSet(), "engines", 80)
    discovery.keep(frozenset({"10.0.0.1"}))
    await discovery.look(early=True)

    assert found_by(discovery) == {"10.0.0.1"}


class EnoughError(Exception):
    """A name was asked for often enough."""


class Names:
    """What names resolve to, and how often each was asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **names: set[str]) -> None:
        self.names = names
        self.asked: list[str] = []
        monkeypatch.setattr(socket, "getaddrinfo", self.resolve)

    def resolve(self, host: str, port: int, *_: Any, **__: Any) -> Any:
        self.asked.append(host)
        if self.asked.count(host) > 50:
            raise EnoughError
        if not self.names[host]:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in self.names[host]]


async def test_who_starts_is_known_before_it_is_ready_and_who_ends_is_left_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = Names(monkeypatch, engines=set(), pending={"10.0.0.1"})
    discovery = Discovery(ReplicaSet(), "engines", 80, "pending")
    seen = []
    for ready, present in (
        (set(), {"10.0.0.1"}),
        ({"10.0.0.1"}, {"10.0.0.1", "10.0.0.2"}),
        # The first ends: it is not ready any more, but still there.
        (set(), {"10.0.0.1", "10.0.0.2"}),
        (set(), set()),
    ):
        names.names.update(engines=ready, pending=present)
        await discovery.look(early=True)
        seen.append(found_by(discovery))

    assert seen == [{"10.0.0.1"}, {"10.0.0.1", "10.0.0.2"}, {"10.0.0.2"}, set()]


async def test_nobody_asks_for_who_starts_before_there_can_be_an_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = Names(monkeypatch, engines=set(), pending=set())
    discovery = Discovery(ReplicaSet(), "engines", 80, "pending", interval_s=0)
    with pytest.raises(EnoughError):
        await discovery.run()

    first = names.asked.index("pending")
    assert names.asked[:first] == ["engines"] * (EARLY_FROM + 1)
    # From then on in each round, as nobody is ready.
    assert names.asked[first:][:4] == ["pending", "engines"] * 2


async def test_while_others_serve_who_starts_is_seldom_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = Names(monkeypatch, engines={"10.0.0.1"}, pending={"10.0.0.1"})
    discovery = Discovery(ReplicaSet(), "engines", 80, "pending", interval_s=0)
    discovery.keep(frozenset({"10.0.0.1"}))
    (replica,) = discovery.replicas
    replica.ready = True
    with pytest.raises(EnoughError):
        await discovery.run()

    assert names.asked.count("pending") <= 50 / 5 + 1


async def test_a_replica_that_gets_ready_is_asked_within_a_probe_although_dns_remembers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with scripted_engine() as engine:
        Names(monkeypatch, engines=set(), pending={"127.0.0.1"})
        discovery = {"host": "engines", "port": engine.port, "earlyHost": "pending"}
        async with running_gateway(discovery=discovery) as gateway:
            client = await gateway.connect()
            client.post(CHAT, HELLO)
            answer = await client.answer()
            await client.close()

    assert answer.json()["port"] == engine.port


async def test_a_gateway_serves_over_replicas_that_it_found() -> None:
    async with scripted_engine() as engine:
        discovery = {"host": "localhost", "port": engine.port}
        async with running_gateway(discovery=discovery) as gateway:
            client = await gateway.connect()
            client.post(CHAT, HELLO)
            answer = await client.answer()
            await client.close()

    assert answer.json()["port"] == engine.port


def test_the_lines_of_a_file_are_replicas(tmp_path: Path) -> None:
    replicas, path = ReplicaSet(), tmp_path / "addresses"
    found = FileDiscovery(replicas, path)
    found.keep(found.addresses() or frozenset())
    assert [r.name for r in replicas] == []

    path.write_text("127.0.0.1:8001\nnonsense\n:80\na:65536\n127.0.0.1:8002\n")
    found.keep(found.addresses() or frozenset())
    path.write_text("127.0.0.1:8002\n")
    found.keep(found.addresses() or frozenset())
    assert [(r.host, r.port) for r in replicas] == [("127.0.0.1", 8002)]


def test_a_file_that_can_not_be_read_now_changes_nothing(tmp_path: Path) -> None:
    garbled = tmp_path / "addresses"
    garbled.write_bytes(b"\xff\xfe:80")

    for path in (garbled, tmp_path):
        assert FileDiscovery(ReplicaSet(), path).addresses() is None


async def test_a_gateway_whose_discovery_fails_does_not_go_on_without_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(_: Discovery, __: str) -> None:
        raise RuntimeError("a fault of its own")

    monkeypatch.setattr(Discovery, "addresses", fail)
    async with running_gateway(discovery={"host": "localhost", "port": 1}) as gateway:
        with pytest.raises(RuntimeError, match="a fault of its own"):
            await gateway.service.run()


@pytest.mark.parametrize("spec", [{}, {"host": "a"}, {"host": "a", "port": 1, "file": "/f"}])
def test_a_discovery_names_one_place(spec: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="names no place or two"):
        DiscoverySpec.model_validate(spec)
