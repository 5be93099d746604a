"""What is known of the load of a service: told by its gateways, held by whoever listens to them."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class LoadFact:
    """The load of one service now; it is only known while its gateways tell it."""

    requests: float
    """Requests that run or wait, on average over the last seconds."""
    waiting: int
    """Requests that wait while no engine is ready."""
    idle_s: float
    """For how long nobody has asked, as far as this process knows."""


class LoadSource(Protocol):
    """The newest load of every service."""

    def newest(self, namespace: str, name: str) -> LoadFact | None:
        """The load; None when no gateway has told it lately, which does not mean zero."""

    def forget(self, namespace: str, name: str) -> None:
        """Drop what is known of a service that is gone."""
