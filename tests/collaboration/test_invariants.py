"""Random runs of both stores against a plain model in Python, time included for SQLite."""

import asyncio
import tempfile
from abc import abstractmethod
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from flagscale_workloads.agent.collaboration import (
    AgentInfo,
    ChannelFullError,
    Claim,
    ClaimHeldError,
    Collaborator,
    ConflictError,
    LeaseEndedError,
    Limits,
    NameTakenError,
    StaleClaimError,
    open_store,
)
from flagscale_workloads.agent.collaboration.sqlite_store.store import SqliteStore
from support.valkey import Valkey

NAMES = ("ann", "bob", "cat")
THINGS = ("door", "gpu")
GROUPS = ("g1", "g2")
LENGTH = 4
names = st.sampled_from(NAMES)
things = st.sampled_from(THINGS)
groups = st.sampled_from(GROUPS)
SETTINGS = settings(
    max_examples=25,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


class HandClock:
    """A clock that a test moves."""

    boot = "one"

    def __init__(self) -> None:
        self.ms = 1_000

    def now_ms(self) -> int:
        return self.ms


class Machine(RuleBasedStateMachine):
    """Three agents, two things, a value and a channel with two groups."""

    opened = count()
    unit_s = 1
    """Leases are 1 to 10 of it."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = HandClock()
        self.store = self.loop.run_until_complete(self.open())
        limits = Limits(messages=LENGTH)
        self.agents = {name: Collaborator(self.store, limits) for name in NAMES}
        self.ends: dict[str, int] = {}
        self.claims: dict[str, tuple[str, Claim]] = {}
        self.newest = 0
        self.value: tuple[Any, int, int] | None = None
        self.old_claims: list[tuple[str, Claim]] = []
        self.kept: list[int] = []
        self.sent = 0
        self.unread: dict[str, list[int]] = {}
        self.pending: dict[str, dict[int, Any]] = {}

    @abstractmethod
    async def open(self) -> Any:
        """A store of its own."""

    def teardown(self) -> None:
        self.loop.run_until_complete(self.store.close())
        self.loop.close()

    def do(self, call: Any) -> Any:
        return self.loop.run_until_complete(call)

    def lives(self, name: str) -> bool:
        return self.ends.get(name, 0) > self.clock.ms

    def holder(self, thing: str) -> str | None:
        name, _ = self.claims.get(thing, (None, None))
        return name if name is not None and self.lives(name) else None

    def fresh(self, number: int) -> None:
        assert number > self.newest
        self.newest = number

    @rule(name=names, lease_s=st.integers(1, 10))
    def register(self, name: str, lease_s: int) -> None:
        lived = self.lives(name)
        session = self.do(
            self.agents[name].register(AgentInfo(name), lease_s=lease_s * self.unit_s)
        )
        if not lived:
            self.fresh(session.number)
            self.claims = {t: c for t, c in self.claims.items() if c[0] != name}
        self.ends[name] = self.clock.ms + lease_s * self.unit_s * 1000

    @rule(name=names)
    def heartbeat(self, name: str) -> None:
        agent = self.agents[name]
        if agent.session is None:
            return
        if not self.lives(name):
            with pytest.raises(LeaseEndedError):
                self.do(agent.heartbeat())
        else:
            self.do(agent.heartbeat())
            self.ends[name] = self.clock.ms + int(agent.me.lease_s * 1000)

    @rule(name=names)
    def impostor(self, name: str) -> None:
        if self.lives(name):
            with pytest.raises(NameTakenError):
                self.do(Collaborator(self.store).register(AgentInfo(name)))

    @rule(name=names)
    def leave(self, name: str) -> None:
        agent = self.agents[name]
        if agent.session is None:
            return
        assert self.do(agent.leave()) == self.lives(name)
        self.ends.pop(name, None)
        self.claims = {t: c for t, c in self.claims.items() if c[0] != name}

    @rule(name=names, thing=things)
    def claim(self, name: str, thing: str) -> None:
        agent, holder = self.agents[name], self.holder(thing)
        if agent.session is None:
            return
        if not self.lives(name):
            with pytest.raises(LeaseEndedError):
                self.do(agent.claim(thing))
        elif holder not in (None, name):
            with pytest.raises(ClaimHeldError, match=f"held by {holder}"):
                self.do(agent.claim(thing))
        else:
            claim = self.do(agent.claim(thing))
            if holder == name:
                assert claim.token == self.claims[thing][1].token
            else:
                self.fresh(claim.token)
                self.old_claims += [self.claims[thing]] if thing in self.claims else []
            self.claims[thing] = (name, claim)

    @rule(thing=things)
    def release(self, thing: str) -> None:
        if thing in self.claims:
            name, claim = self.claims.pop(thing)
            assert self.do(self.agents[name].release(claim)) == self.lives(name)
            self.old_claims.append((name, claim))

    @rule(name=names, expected=st.sampled_from(["any", "right", "wrong"]), thing=things)
    def write(self, name: str, expected: str, thing: str) -> None:
        if self.agents[name].session is None:
            return
        held = self.claims.get(thing)
        self._write(name, held[1] if held and held[0] == name else None, thing, expected)

    @precondition(lambda self: self.old_claims)
    @rule(data=st.data())
    def write_under_an_old_claim(self, data: st.DataObject) -> None:
        name, claim = data.draw(st.sampled_from(self.old_claims))
        if self.agents[name].session is not None:
            with pytest.raises(StaleClaimError):
                self.do(self.agents[name].set("value", "stolen", claim=claim))

    def _write(self, name: str, claim: Claim | None, thing: str, expected: str) -> None:
        _, version, fence = self.value or (None, 0, 0)
        wanted = {"any": None, "right": version, "wrong": version + 1}[expected]
        call = self.agents[name].set("value", self.newest, expected=wanted, claim=claim)
        token = claim.token if claim else 0
        if token < fence or (claim and self.holder(thing) != name):
            with pytest.raises(StaleClaimError):
                self.do(call)
        elif expected == "wrong":
            with pytest.raises(ConflictError):
                self.do(call)
        else:
            written = self.newest
            new = self.do(call)
            self.fresh(new)
            self.value = (written, new, token)

    @rule(group=groups)
    def subscribe(self, group: str) -> None:
        agent = self._anyone()
        if agent is not None and group not in self.unread:
            assert self.do(agent.subscribe("news", group))
            self.unread[group], self.pending[group] = list(self.kept), {}

    @rule()
    def send(self) -> None:
        agent = self._anyone()
        if agent is None:
            return
        needed = {n for group in self.unread for n in (*self.unread[group], *self.pending[group])}
        if len(self.kept) == LENGTH and self.kept[0] in needed:
            with pytest.raises(ChannelFullError):
                self.do(agent.send("news", self.sent))
            return
        self.do(agent.send("news", self.sent))
        self.kept = [*self.kept, self.sent][-LENGTH:]
        for unread in self.unread.values():
            unread.append(self.sent)
        self.sent += 1

    @rule(group=groups, most=st.integers(1, 3))
    def receive(self, group: str, most: int) -> None:
        agent = self._anyone()
        if agent is None or group not in self.unread:
            return
        got = self.do(agent.receive("news", group, count=most, redeliver_after_s=3600))
        assert [one.message.body for one in got] == self.unread[group][:most]
        self.unread[group] = self.unread[group][most:]
        self.pending[group] |= {one.message.body: one for one in got}

    @rule(group=groups)
    def ack(self, group: str) -> None:
        agent = self._anyone()
        if agent is not None and self.pending.get(group):
            _, delivery = self.pending[group].popitem()
            assert self.do(agent.ack(delivery))
            assert not self.do(agent.ack(delivery))

    def _anyone(self) -> Collaborator | None:
        return next((one for one in self.agents.values() if one.session is not None), None)

    @invariant()
    def the_store_says_what_the_model_says(self) -> None:
        agent = self.agents[NAMES[0]]
        living = [one.info.name for one in self.do(agent.agents())]
        assert living == sorted(name for name in NAMES if self.lives(name))
        for thing in THINGS:
            found = self.do(agent.holder(thing))
            assert (found.holder if found else None) == self.holder(thing)
        entry = self.do(agent.get("value"))
        assert (entry and (entry.value, entry.version, entry.token)) == self.value
        assert [one.body for one in self.do(agent.replay("news"))] == self.kept


class SqliteMachine(Machine):
    """The embedded store, its clock in the test's hand."""

    async def open(self) -> Any:
        self.folder = tempfile.TemporaryDirectory()
        return await SqliteStore.open("x", Path(self.folder.name), self.clock)

    @rule(ms=st.integers(1, 6_000))
    def time_passes(self, ms: int) -> None:
        self.clock.ms += ms

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


def test_the_embedded_store_does_what_the_model_does() -> None:
    run_state_machine_as_test(SqliteMachine, settings=SETTINGS)


def test_redis_does_what_the_model_does(valkey: Valkey) -> None:
    class RedisMachine(Machine):
        """The server, whose leases last longer than the run."""

        unit_s = 300

        async def open(self) -> Any:
            return await open_store(valkey.url, f"model-{next(self.opened)}")

    run_state_machine_as_test(RedisMachine, settings=SETTINGS)
