"""What is asked of a hand-off, and what comes of it."""

from dataclasses import dataclass
from typing import Final

from flagscale_workloads.agent.collaboration.values import Json

ENDED: Final = frozenset({"completed", "failed", "canceled", "rejected"})
ASKING: Final = frozenset({"input_required", "auth_required"})


@dataclass(frozen=True, slots=True)
class HandOff:
    """How a task is handed over."""

    timeout_s: float = 60.0
    """For all of it."""
    context_id: str = ""
    """Of a conversation that goes on; a new one by default."""
    task_id: str = ""
    """Of a task that asked for more input."""
    token: str = ""
    """Sent as a bearer token."""
    max_bytes: int = 1_048_576
    """Of the task, and of all that the agent answers."""
    loopback: bool = False
    """Agents on this very machine may be called."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an agent has done so far."""

    state: str
    """As A2A names it, in lower case: submitted, working, completed, failed, input_required ..."""
    text: str = ""
    """Of its artifacts, or of the message that it answered with."""
    data: tuple[Json, ...] = ()
    """Structured parts of the same."""
    task_id: str = ""
    context_id: str = ""
    reason: str = ""
    """What it said about its state: why it failed, what it needs."""

    @property
    def ended(self) -> bool:
        """Nothing more comes unless the caller does something."""
        return self.state in ENDED or self.state in ASKING
