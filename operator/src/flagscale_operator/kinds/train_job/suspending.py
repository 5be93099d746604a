"""Suspend and resume: ask for a checkpoint, wait bounded, stop; later go on from it."""

from datetime import datetime

from flagscale_api.v1alpha1.train_job_status import Attempt
from flagscale_operator.kinds.clock import parse_time
from flagscale_operator.kinds.conditions import find_condition
from flagscale_operator.kinds.train_job.facts import ChildFact, Observed, PodFact
from flagscale_operator.kinds.train_job.plan import Clock, Plan, TrainJobView, with_status
from flagscale_operator.kinds.train_job.status import Verdicts, build_status


def switch_suspend(
    job: TrainJobView, observed: Observed, attempt: Attempt, child: ChildFact, clock: Clock
) -> Plan:
    """Move the child towards spec.suspend: through a checkpoint when stopping."""
    if not job.spec.suspend:
        if any(_lingers(p) for p in observed.pods_of(attempt.number)):
            status = build_status(job, Verdicts.suspending(), phase="Suspending", now=clock.now)
            return Plan(status, requeue_after_s=1.0)
        status = job.status
        progress = status.progress
        resumed = status.model_copy(
            update={"progress": progress and progress.model_copy(update={"last_update_time": None})}
        )
        status = build_status(
            with_status(job, resumed),
            Verdicts.starting("Resumed", "spec.suspend was lifted"),
            phase="Starting",
            now=clock.now,
        )
        return Plan(status, set_suspend=(attempt.number, False))
    asked = _suspending_since(job)
    waited_s = clock.since(asked) if asked else 0.0
    if _checkpoint_worth_waiting(job, observed, attempt, asked) and (
        waited_s < job.spec.suspend_timeout_seconds
    ):
        status = build_status(job, Verdicts.suspending(), phase="Suspending", now=clock.now)
        left_s = job.spec.suspend_timeout_seconds - waited_s
        return Plan(status, request_checkpoint=True, requeue_after_s=max(left_s, 0.0) + 0.1)
    status = build_status(job, Verdicts.suspending(), phase="Suspending", now=clock.now)
    return Plan(status, set_suspend=(attempt.number, True))


def _suspending_since(job: TrainJobView) -> datetime | None:
    condition = find_condition(job.status.conditions, "Suspended")
    if condition is None or condition.reason != "Suspending":
        return None
    return parse_time(condition.last_transition_time)


def _checkpoint_worth_waiting(
    job: TrainJobView, observed: Observed, attempt: Attempt, asked: datetime | None
) -> bool:
    """Whether the pods report (so they can be asked) and have not saved since they were asked."""
    progress = observed.progress
    if progress is None or progress.attempt != attempt.number or progress.integer("step") is None:
        return False
    saved = parse_time(progress.checkpoint.time) if progress.checkpoint else None
    return asked is None or saved is None or saved < asked


def _lingers(pod: PodFact) -> bool:
    """Whether it is still there or still works: gone after a resume, it would look killed."""
    return not pod.gone and (pod.deleting or not pod.finished)


def while_suspended(job: TrainJobView, pods: tuple[PodFact, ...], clock: Clock) -> Plan:
    """Report a suspended gang until its pods are gone, and after."""
    left = [p for p in pods if _lingers(p)]
    if job.spec.queue_name and not job.spec.suspend:
        waiting = Verdicts.starting("Queued", f"waiting in queue {job.spec.queue_name}")
        return Plan(build_status(job, waiting, phase="Pending", now=clock.now))
    if left:
        return Plan(build_status(job, Verdicts.suspending(), phase="Suspending", now=clock.now))
    return Plan(build_status(job, Verdicts.suspended(), phase="Suspended", now=clock.now))
