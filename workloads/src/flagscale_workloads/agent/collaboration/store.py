"""What a store does, each call at once or not at all. Inputs were checked before."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class AgentRow:
    """A living agent."""

    name: str
    session: int
    record: str
    left_ms: int


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """A claim that holds."""

    resource: str
    holder: str
    token: int
    left_ms: int


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A message; `deliveries` is 0 where it was read without a group."""

    id: str
    sender: str
    body: str
    sent_at_ms: int
    deliveries: int = 0


@dataclass(frozen=True, slots=True)
class EntryRow:
    """A value of the environment."""

    key: str
    value: str
    version: int
    writer: str
    token: int


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group of a channel."""

    name: str
    pending: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Guard:
    """Under which claim a write happens."""

    resource: str
    token: int


@dataclass(frozen=True, slots=True)
class Reading:
    """What a consumer asks for."""

    channel: str
    group: str
    consumer: str
    count: int
    idle_ms: int
    """After which another consumer's messages are handed to this one."""


class Agents(Protocol):
    """Who lives. `nonce` names one attempt, so that it can be repeated after a lost answer."""

    async def register(
        self, name: str, record: str, nonce: str, lease_ms: int, *, take_over: bool, limit: int
    ) -> int:
        """The session. Raises NameTakenError, LimitReachedError."""

    async def heartbeat(self, name: str, session: int, lease_ms: int) -> None:
        """Start the lease anew. Raises LeaseEndedError."""

    async def leave(self, name: str, session: int) -> bool:
        """Whether it lived."""

    async def agents(self) -> list[AgentRow]:
        """All that live, by name."""

    async def agent(self, name: str) -> AgentRow | None:
        """One that lives."""


class Claims(Protocol):
    """Who may do what alone. A claim ends with its holder's lease, or `at_most_ms` before it."""

    async def claim(
        self, resource: str, name: str, session: int, at_most_ms: int, limit: int
    ) -> ClaimRow:
        """At once or not; the holder's own is renewed. `at_most_ms` 0: as long as the lease.

        Raises LeaseEndedError, ClaimHeldError, LimitReachedError.
        """

    async def release(self, resource: str, token: int) -> bool:
        """Whether it was held under this token."""

    async def holder(self, resource: str) -> ClaimRow | None:
        """Who holds it."""


class Messages(Protocol):
    """Streams of bounded length, read by groups."""

    async def send(
        self, channel: str, sender: str, body: str, key: str, *, length: int, limit: int
    ) -> str:
        """The message's id; the same for the same key. Raises ChannelFullError."""

    async def subscribe(
        self, channel: str, group: str, *, from_start: bool, limit: int, groups: int
    ) -> bool:
        """Whether the group is new."""

    async def unsubscribe(self, channel: str, group: str) -> bool:
        """Whether there was such a group."""

    async def receive(self, reading: Reading, wait_ms: int) -> list[MessageRow]:
        """First what others left pending too long, then what is new. Raises NotSubscribedError."""

    async def ack(self, channel: str, group: str, message_id: str) -> bool:
        """Whether it was pending."""

    async def replay(self, channel: str, after: str, count: int) -> list[MessageRow]:
        """What is kept, acknowledged or not, after an id."""

    async def groups(self, channel: str) -> tuple[int, list[GroupRow]]:
        """The channel's length and groups."""

    async def delete_channel(self, channel: str) -> bool:
        """Whether there was one."""


class Environment(Protocol):
    """Shared values with versions."""

    async def put(
        self,
        key: str,
        value: str,
        writer: str,
        nonce: str,
        *,
        expected: int | None,
        guard: Guard | None,
        limit: int,
    ) -> int:
        """The new version. `expected` 0: no entry yet. Raises ConflictError, StaleClaimError."""

    async def delete(self, key: str, *, expected: int | None, guard: Guard | None) -> bool:
        """Whether there was an entry. Raises as `put` does."""

    async def get(self, key: str) -> EntryRow | None:
        """The entry now."""

    async def changes(self, after: int, count: int) -> list[EntryRow]:
        """Entries that were written after a version, in the order of their last write."""


class Store(Agents, Claims, Messages, Environment, Protocol):
    """All of it, for one namespace."""

    async def close(self) -> None:
        """Give up connections; what is stored stays."""
