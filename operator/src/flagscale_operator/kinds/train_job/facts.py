"""What was observed of a TrainJob, reduced to the facts that decisions need.

Raw API objects stop here: `observe_*` read them once, tolerantly, and everything later works on
frozen values.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flagscale_api import keys
from flagscale_api.v1alpha1.train_job_status import Checkpoint
from flagscale_operator.kinds.clock import parse_time
from flagscale_operator.kinds.pod_state import Termination, termination_of

Manifest = Mapping[str, Any]
CONTAINER = "pytorch"
LARGEST_STEP = 2**53
"""Beyond it JSON loses whole numbers, and the API server refuses the status."""


@dataclass(frozen=True, slots=True)
class PodFact:
    """One pod of an attempt."""

    name: str
    uid: str
    attempt: int
    index: int
    node: str | None
    phase: str
    running: bool
    deleting: bool
    gone: bool = False
    deletion_time: datetime | None = None
    disruption: str | None = None
    reason: str | None = None
    message: str | None = None
    waiting_reason: str | None = None
    waiting_message: str | None = None
    termination: Termination | None = None
    unready_since: datetime | None = None
    """Since when a running pod without readiness probe is not ready: its node stopped answering."""

    @property
    def finished(self) -> bool:
        """No container of it runs any more."""
        return self.gone or self.termination is not None or self.phase in ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class ChildFact:
    """The object that runs one attempt."""

    name: str
    uid: str
    attempt: int
    created_at: datetime | None
    suspended: bool
    deleting: bool
    succeeded: bool
    failed: bool


@dataclass(frozen=True, slots=True)
class ProgressFact:
    """The newest report of the pods of one attempt."""

    attempt: int
    advanced_at: datetime
    percent: int | None = None
    remaining_s: int | None = None
    metrics: Mapping[str, str] = field(default_factory=dict)
    checkpoint: Checkpoint | None = None

    def integer(self, name: str) -> int | None:
        """A metric as a whole number, or None when absent or not one that can be stored."""
        return whole_number(self.metrics.get(name))


def whole_number(text: str | None) -> int | None:
    """A count as its sender wrote it; None for what is none, or beyond LARGEST_STEP."""
    try:
        number = int(float(text or ""))
    except (ValueError, OverflowError):
        return None
    return number if 0 <= number <= LARGEST_STEP else None


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that is known of one TrainJob besides its own body."""

    children: tuple[ChildFact, ...] = ()
    pods: tuple[PodFact, ...] = ()
    progress: ProgressFact | None = None
    operator_started_at: datetime | None = None

    def child(self, attempt: int) -> ChildFact | None:
        """The object of an attempt, if it is there."""
        return next((c for c in self.children if c.attempt == attempt), None)

    def pods_of(self, attempt: int) -> tuple[PodFact, ...]:
        """The pods of an attempt, by rank of the pod."""
        return tuple(sorted((p for p in self.pods if p.attempt == attempt), key=lambda p: p.index))


def _integer(text: object, default: int) -> int:
    try:
        return int(str(text))
    except ValueError:
        return default


def observe_child(body: Manifest) -> ChildFact:
    """Facts of a PyTorchJob that we made. Unknown condition types are left out."""
    metadata = body["metadata"]
    conditions = {
        c.get("type"): c.get("status") == "True"
        for c in (body.get("status") or {}).get("conditions") or ()
    }
    return ChildFact(
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        attempt=_integer((metadata.get("labels") or {}).get(keys.ATTEMPT_LABEL), 0),
        created_at=parse_time(metadata.get("creationTimestamp")),
        suspended=bool((body.get("spec") or {}).get("runPolicy", {}).get("suspend", False)),
        deleting="deletionTimestamp" in metadata,
        succeeded=conditions.get("Succeeded", False),
        failed=conditions.get("Failed", False),
    )


def _disruption(conditions: Mapping[str, Mapping[str, Any]]) -> str | None:
    condition = conditions.get("DisruptionTarget", {})
    return condition.get("reason") if condition.get("status") == "True" else None


def observe_pod(body: Manifest, *, gone: bool = False) -> PodFact:
    """Facts of a pod of ours; `gone` when it was deleted from the API while it still ran."""
    metadata, spec, status = body["metadata"], body.get("spec") or {}, body.get("status") or {}
    labels = metadata.get("labels") or {}
    conditions = {c.get("type", ""): c for c in status.get("conditions") or ()}
    containers = status.get("containerStatuses") or ()
    state = next((c.get("state") or {} for c in containers if c.get("name") == CONTAINER), {})
    waiting = state.get("waiting") or {}
    scheduled = conditions.get("PodScheduled", {})
    ready = conditions.get("Ready", {})
    unready = "running" in state and ready.get("status") == "False"
    unscheduled = scheduled.get("status") == "False"
    return PodFact(
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        attempt=_integer(labels.get(keys.ATTEMPT_LABEL), 0),
        index=_integer(labels.get("training.kubeflow.org/replica-index"), 0),
        node=spec.get("nodeName"),
        phase=status.get("phase") or "Pending",
        running="running" in state,
        deleting="deletionTimestamp" in metadata,
        gone=gone,
        deletion_time=parse_time(metadata.get("deletionTimestamp")),
        disruption=_disruption(conditions),
        reason=status.get("reason"),
        message=status.get("message"),
        waiting_reason=scheduled.get("reason") if unscheduled else waiting.get("reason"),
        waiting_message=scheduled.get("message") if unscheduled else waiting.get("message"),
        termination=termination_of(state),
        unready_since=parse_time(ready.get("lastTransitionTime")) if unready else None,
    )
