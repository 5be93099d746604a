"""One interface to run resources, wherever they run."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

Manifest = dict[str, Any]
KINDS: Final = ("TrainJob", "InferenceService", "AgentTool", "AgentToolSource")
"""Kinds that are run; a tool runs once agents find it and may call it."""
WITHOUT_PODS: Final = ("AgentTool", "AgentToolSource")
_PASSING: Final = ("NotProbed", "NotIndexed")
"""Reasons for which a tool is not ready yet, but will be."""


class RunnerError(Exception):
    """What can't be done, as a sentence with a next step."""


class NotAllowedError(RunnerError):
    """The user lacks a right."""


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """One resource."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """As kubectl writes it, with the namespace."""
        return f"{self.kind.lower()}/{self.name} in {self.namespace}"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What there is of a resource besides itself."""

    pods: Sequence[Manifest] = ()
    events: Sequence[Manifest] = ()


class Runner(Protocol):
    """Every method raises RunnerError with a sentence for the user."""

    @property
    def namespace(self) -> str:
        """Namespace of what names none."""

    def submit(self, body: Manifest) -> Target:
        """Start it; the same one again is fine and attaches to what runs.

        One that has ended is run anew.
        """

    def status(self, target: Target) -> Manifest | None:
        """The whole resource with its status, or None when it is not there."""

    def resources(self, kind: str, namespace: str | None = None) -> list[Manifest]:
        """All of a kind, in one namespace or in all."""

    def surroundings(self, target: Target) -> Surroundings:
        """Its pods and its events, to explain its state."""

    def logs(self, target: Target, *, follow: bool) -> Iterator[str]:
        """Lines of its newest attempt, each after the name of its pod where there are several."""

    def ask(self, target: Target, path: str, body: Manifest) -> Iterator[str]:
        """Lines that a service answers to a POST, as they come."""

    def suspend(self, target: Target, *, suspend: bool) -> None:
        """Stop after a checkpoint, or go on."""

    def stop(self, target: Target) -> None:
        """End it and forget it; what it wrote to its volumes stays."""

    def wait(self, target: Target, on_change: Callable[[Manifest], None]) -> Manifest:
        """The resource once it has ended or can't go on by itself; told of every change."""


def has_ended(body: Manifest) -> bool:
    """Whether a TrainJob has succeeded or failed for good."""
    return bool((body.get("status") or {}).get("completionTime"))


def phase_of(body: Manifest) -> str:
    """Its phase; of a tool, which has none, what its Ready condition says. "": not seen yet."""
    status = body.get("status") or {}
    if body.get("kind") not in WITHOUT_PODS:
        return str(status.get("phase") or "")
    conditions = status.get("conditions") or ()
    ready = next((c for c in conditions if c["type"] == "Ready"), None)
    if ready is None or status.get("observedGeneration") != body["metadata"].get("generation"):
        return ""
    if ready["status"] == "Unknown" or ready["reason"] in _PASSING:
        return "Pending"
    return "Ready" if ready["status"] == "True" else "Failed"


def is_settled(body: Manifest) -> bool:
    """Whether its present spec has come to an end: of a service, that it answers or can't."""
    status, phase = body.get("status") or {}, phase_of(body)
    if body.get("kind") in WITHOUT_PODS:
        return phase in ("Ready", "Failed")
    if body.get("kind") == "InferenceService":
        seen = status.get("observedGeneration") == body["metadata"].get("generation")
        return seen and phase in ("Ready", "Idle", "Failed")
    suspended = bool((body.get("spec") or {}).get("suspend")) and phase == "Suspended"
    return suspended or has_ended(body)
