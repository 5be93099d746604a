"""What is known of a resource in trouble, reduced to what the rules look at (pure)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from flagscale_operator.kinds.clock import parse_time
from flagscale_runner.base import Manifest, Surroundings, phase_of

_IN_TROUBLE: Final = ("Failed", "Restarting", "Pending", "Degraded", "Loading")
"""Phases in which the last failure is still news."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Words that its status, its pods and its events use, the most telling first."""

    kind: str
    name: str
    namespace: str
    phase: str
    cause: str
    """`status.failure.cause` of a TrainJob."""
    reason: str
    """Reason of the Ready condition."""
    message: str
    texts: tuple[str, ...]
    seen: bool
    """Whether the operator has looked at its present spec."""
    age_s: float


def facts_of(body: Manifest, around: Surroundings, now: datetime) -> Facts:
    """The facts of one resource."""
    metadata, status = body["metadata"], body.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    ready = conditions.get("Ready") or {}
    made = parse_time(metadata.get("creationTimestamp"))
    failure = status.get("failure") or (status.get("model") or {}).get("lastFailure") or {}
    current = failure if phase_of(body) in _IN_TROUBLE else {}
    texts = (*_given(current.get("message"), ready.get("message")), *_words(around))
    return Facts(
        kind=body["kind"],
        name=metadata["name"],
        namespace=metadata.get("namespace", "default"),
        phase=phase_of(body),
        cause=current.get("cause") or current.get("reason") or "",
        reason=ready.get("reason", ""),
        message=current.get("message") or ready.get("message", ""),
        texts=texts,
        seen=status.get("observedGeneration") == metadata.get("generation", 1),
        age_s=(now - made).total_seconds() if made else 0.0,
    )


def _given(*texts: str | None) -> tuple[str, ...]:
    return tuple(text for text in texts if text)


def _words(around: Surroundings) -> Iterator[str]:
    for pod in around.pods:
        yield from _words_of_pod(pod)
    newest = sorted(around.events, key=_time_of, reverse=True)
    for event in newest:
        if event.get("type") == "Warning":
            yield f"{event.get('reason', '')}: {event.get('message', '')}"


def _time_of(event: Manifest) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")


def _words_of_pod(pod: Manifest) -> Iterator[str]:
    status = pod.get("status") or {}
    name = pod["metadata"]["name"]
    for condition in status.get("conditions") or ():
        if condition.get("status") == "False" and condition.get("message"):
            yield f"pod {name}: {condition.get('reason', '')}: {condition['message']}"
    for container in status.get("containerStatuses") or ():
        yield from _words_of_container(name, container)


def _words_of_container(pod: str, container: dict[str, Any]) -> Iterator[str]:
    for state in (container.get("state") or {}, container.get("lastState") or {}):
        waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
        if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            yield f"pod {pod}: {waiting['reason']}: {waiting.get('message', '')}"
        if ended.get("exitCode"):
            told = ended.get("message", "")
            yield f"pod {pod}: {ended.get('reason', '')}: exit code {ended['exitCode']}: {told}"
