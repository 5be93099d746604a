import socket
from typing import Any

import pytest

from flagscale_workloads.serve.discovery import Discovery
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
    assert await Discovery(ReplicaSet(), "none.invalid", 80).addresses() in (frozenset(), None)


async def test_a_resolver_that_fails_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    monkeypatch.setattr(socket, "getaddrinfo", fail)

    assert await Discovery(ReplicaSet(), "engines", 80).addresses() is None


async def test_a_gateway_serves_over_replicas_that_it_found() -> None:
    async with scripted_engine() as engine:
        discovery = {"host": "localhost", "port": engine.port}
        async with running_gateway(discovery=discovery) as gateway:
            client = await gateway.connect()
            client.post(CHAT, HELLO)
            answer = await client.answer()
            await client.close()

    assert answer.json()["port"] == engine.port
