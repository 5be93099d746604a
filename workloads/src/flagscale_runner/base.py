"""One interface to run resources, wherever they run."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

Manifest = dict[str, Any]


class RunnerError(Exception):
    """What can't be done, as a sentence with a next step."""


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """One resource."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """As kubectl writes it, with the namespace."""
        return f"{self.kind.lower()}/{self.name} in {self.namespace}"


class Runner(Protocol):
    """Every method raises RunnerError with a sentence for the user."""

    def submit(self, body: Manifest) -> Target:
        """Start it; the same one again is fine and attaches to what runs."""

    def status(self, target: Target) -> Manifest | None:
        """The whole resource with its status, or None when it is not there."""

    def logs(self, target: Target, *, follow: bool) -> Iterator[str]:
        """Lines of its newest attempt, each after the name of its pod where there are several."""

    def suspend(self, target: Target, *, suspend: bool) -> None:
        """Stop after a checkpoint, or go on."""

    def stop(self, target: Target) -> None:
        """End it and forget it; what it wrote to its volumes stays."""

    def wait(self, target: Target, on_change: Callable[[Manifest], None]) -> Manifest:
        """The resource once it has ended or can't go on by itself; told of every change."""


def has_ended(body: Manifest) -> bool:
    """Whether a TrainJob has succeeded or failed for good."""
    return bool((body.get("status") or {}).get("completionTime"))
