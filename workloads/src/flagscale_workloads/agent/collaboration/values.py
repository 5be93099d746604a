"""What agents see of each other. Seconds that are left are counted by the store's clock."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = Any
"""What `json.loads` may return."""


@dataclass(frozen=True, slots=True)
class AgentInfo:
    """What an agent tells about itself."""

    name: str
    description: str = ""
    skills: tuple[str, ...] = ()
    url: str = ""
    """Where its A2A agent card lies, without `/.well-known/agent-card.json`; empty: no A2A."""
    details: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Session:
    """One life of an agent: what a process got when it registered."""

    name: str
    number: int
    """Grows with each registration in the namespace; a later one replaces an earlier one."""
    lease_s: float


@dataclass(frozen=True, slots=True)
class Agent:
    """A living agent."""

    info: AgentInfo
    session: int
    left_s: float
    """Of its lease, unless it beats again."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The sole right to something, while its holder's lease runs."""

    resource: str
    holder: str
    token: int
    """Fencing token: larger than that of every earlier claim in the namespace."""
    left_s: float


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a channel."""

    id: str
    """Orders the messages of its channel, and says where a replay goes on."""
    channel: str
    sender: str
    body: Json
    sent_at: float
    """Unix time by the store's clock, for people: nothing is decided by it."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message handed to one consumer of a group, until it is acknowledged."""

    message: Message
    group: str
    deliveries: int
    """1 the first time; more after a consumer died or was too slow."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A value of the shared environment."""

    key: str
    value: Json
    version: int
    """Grows with each write in the namespace, so that a deleted key never repeats one."""
    writer: str
    token: int
    """Of the claim it was written under; 0 without one."""


@dataclass(frozen=True, slots=True)
class GroupReport:
    """How far a group has read a channel."""

    name: str
    pending: int
    """Delivered and not acknowledged."""
    waiting: int
    """Not delivered yet."""


@dataclass(frozen=True, slots=True)
class ChannelReport:
    """A channel's length and its groups."""

    name: str
    length: int
    groups: tuple[GroupReport, ...]
