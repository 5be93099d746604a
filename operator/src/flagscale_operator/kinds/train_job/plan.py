"""The words that decisions about a TrainJob are written in: the job, the plan, the clock."""

from dataclasses import dataclass, replace
from datetime import datetime

from flagscale_api.v1alpha1.train_job import TrainJobSpec
from flagscale_api.v1alpha1.train_job_status import Attempt, TrainJobStatus
from flagscale_operator.kinds.clock import format_time
from flagscale_operator.kinds.conditions import find_condition
from flagscale_operator.kinds.train_job.facts import ChildFact
from flagscale_operator.kinds.train_job.names import child_name

KEPT_ATTEMPTS = 10


@dataclass(frozen=True, slots=True)
class TrainJobView:
    """A valid TrainJob as the API server has it."""

    namespace: str
    name: str
    uid: str
    generation: int
    created_at: datetime
    spec: TrainJobSpec
    status: TrainJobStatus


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything to do now; `status` is written last, but before any successor is made."""

    status: TrainJobStatus
    create_attempt: int | None = None
    set_suspend: tuple[int, bool] | None = None
    delete_children: tuple[ChildFact, ...] = ()
    delete_job: bool = False
    request_checkpoint: bool = False
    confirm_absent: str | None = None
    requeue_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Clock:
    """The moment of a decision, with distances in seconds."""

    now: datetime

    def until(self, time: datetime) -> float:
        """Seconds left, never negative."""
        return max(0.0, (time - self.now).total_seconds())

    def since(self, time: datetime | None) -> float:
        """Seconds passed; 0 when the time is not known."""
        return (self.now - time).total_seconds() if time else 0.0


def begin_attempt(job: TrainJobView, number: int, started: datetime) -> TrainJobStatus:
    """The status with a new attempt as its last."""
    status = job.status
    attempt = Attempt(
        number=number, child=child_name(job.name, number), start_time=format_time(started)
    )
    progress = status.progress
    return status.model_copy(
        update={
            "attempts": [*status.attempts, attempt][-KEPT_ATTEMPTS:],
            "restarts": max(status.restarts, number - 1),
            "start_time": status.start_time or attempt.start_time,
            "next_attempt_time": None,
            # The hang clock begins anew with the attempt's first report.
            "progress": progress and progress.model_copy(update={"last_update_time": None}),
        }
    )


def with_status(job: TrainJobView, status: TrainJobStatus) -> TrainJobView:
    """The job as if it had another status."""
    return replace(job, status=status)


def was_running(job: TrainJobView) -> bool:
    """Whether the current attempt's gang was seen running."""
    condition = find_condition(job.status.conditions, "Running")
    return condition is not None and condition.status == "True"
