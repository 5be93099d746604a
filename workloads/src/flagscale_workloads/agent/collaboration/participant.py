"""What the parts of a collaborator share: a store, limits, and who speaks."""

from dataclasses import dataclass, field
from uuid import uuid4

from flagscale_workloads.agent.collaboration.errors import InvalidInputError
from flagscale_workloads.agent.collaboration.limits import Limits, check_count
from flagscale_workloads.agent.collaboration.store import Store
from flagscale_workloads.agent.collaboration.values import Session

MAX_MESSAGES = 100_000


def milliseconds(seconds: float) -> int:
    """Whole ones, at least 1 of what is not 0."""
    return max(1, round(seconds * 1000)) if seconds else 0


def new_nonce() -> str:
    """Names one attempt."""
    return uuid4().hex


@dataclass
class Participant:
    """One process in a namespace, an agent once it is registered."""

    store: Store
    limits: Limits = field(default_factory=Limits)
    session: Session | None = None
    """Of the agent that this process is."""
    process: str = field(default_factory=new_nonce)
    """Tells this process from others, so that it may register again."""

    def __post_init__(self) -> None:
        check_count(self.limits.messages, "limits.messages", 1, MAX_MESSAGES)

    @property
    def me(self) -> Session:
        """The session.

        Raises:
            InvalidInputError: not registered.
        """
        if self.session is None:
            msg = "collaborator: not registered, got a call that needs an agent; register first"
            raise InvalidInputError(msg)
        return self.session
