"""Builders of TrainJobs and of what is observed of them, for tests of decisions."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from flagscale_api.v1alpha1.train_job import TrainJobSpec
from flagscale_api.v1alpha1.train_job_status import Checkpoint, TrainJobStatus
from flagscale_operator.kinds.pod_state import Termination
from flagscale_operator.kinds.train_job.facts import (
    ChildFact,
    Observed,
    PodFact,
    ProgressFact,
)
from flagscale_operator.kinds.train_job.plan import Plan, TrainJobView
from flagscale_operator.kinds.train_job.reconcile import plan

T0 = datetime(2026, 1, 1, tzinfo=UTC)

TRAINER: dict[str, Any] = {
    "trainer": {
        "data": {"path": "/data/corpus.txt"},
        "output": {"path": "/data/out"},
        "schedule": {"steps": 100, "globalBatchSize": 8, "microBatchSize": 4, "warmupSteps": 10},
    },
    "volumes": {"data": {"claimName": "claim", "mountPath": "/data"}},
}


def at(seconds: float) -> datetime:
    """A moment after the start of the test's world."""
    return T0 + timedelta(seconds=seconds)


def make_job(status: TrainJobStatus | None = None, **spec: Any) -> TrainJobView:
    """A TrainJob of two pods whose spec is overridden by `spec` (as in YAML)."""
    body = {"replicas": 2, **TRAINER, **spec}
    if "script" in spec:
        body.pop("trainer")
    return TrainJobView(
        namespace="ns",
        name="job",
        uid="uid-1",
        generation=1,
        created_at=T0,
        spec=TrainJobSpec.model_validate(body),
        status=status or TrainJobStatus(),
    )


def child(attempt: int = 1, **facts: Any) -> ChildFact:
    """The PyTorchJob of an attempt."""
    base = ChildFact(
        name=f"job-a{attempt}",
        uid=f"child-{attempt}",
        attempt=attempt,
        created_at=T0,
        suspended=False,
        deleting=False,
        succeeded=False,
        failed=False,
    )
    return replace(base, **facts)


def pod(index: int = 0, attempt: int = 1, **facts: Any) -> PodFact:
    """A running pod of an attempt."""
    base = PodFact(
        name=f"job-a{attempt}-worker-{index}",
        uid=f"pod-{attempt}-{index}",
        attempt=attempt,
        index=index,
        node="node1",
        phase="Running",
        running=True,
        deleting=False,
    )
    return replace(base, **facts)


def ended(
    index: int = 0,
    code: int = 1,
    *,
    attempt: int = 1,
    message: str = "",
    reason: str = "Error",
    seconds: float = 10,
) -> PodFact:
    """A pod whose container ended."""
    return pod(
        index,
        attempt,
        running=False,
        phase="Failed" if code else "Succeeded",
        termination=Termination(code, None, reason, message, at(seconds)),
    )


def report(step: int, *, attempt: int = 1, seconds: float = 0, **extra: Any) -> ProgressFact:
    """A progress report of an attempt."""
    saved = extra.pop("checkpoint", None)
    return ProgressFact(
        attempt=attempt,
        advanced_at=at(seconds),
        percent=step,
        remaining_s=100 - step,
        metrics={"step": str(step), "total_steps": "100", "loss": "2.5", **extra},
        checkpoint=saved and Checkpoint(step=saved, path=f"/data/out/step-{saved}"),
    )


def observed(*facts: ChildFact | PodFact | ProgressFact) -> Observed:
    """An observation of these facts."""
    return Observed(
        children=tuple(f for f in facts if isinstance(f, ChildFact)),
        pods=tuple(f for f in facts if isinstance(f, PodFact)),
        progress=next((f for f in facts if isinstance(f, ProgressFact)), None),
        operator_started_at=T0,
    )


def step(job: TrainJobView, seen: Observed, seconds: float) -> tuple[TrainJobView, Plan]:
    """Decide at a moment, and the job as it is after its status was written."""
    decided = plan(job, seen, now=at(seconds))
    return replace(job, status=decided.status), decided


def running_job(**spec: Any) -> TrainJobView:
    """A job whose first attempt runs since second 1."""
    job, _ = step(make_job(**spec), observed(), 0)
    job, _ = step(job, observed(child(), pod(0), pod(1)), 1)
    return job


def ready(decided: Plan) -> tuple[str, str]:
    """Status and reason of the Ready condition."""
    condition = next(c for c in decided.status.conditions if c.type == "Ready")
    return condition.status, condition.reason
