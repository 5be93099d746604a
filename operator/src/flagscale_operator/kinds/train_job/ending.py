"""Ends: of an attempt, and of the job."""

from datetime import datetime, timedelta

from flagscale_api.v1alpha1.train_job_status import Artifact, Attempt, Failure, TrainJobStatus
from flagscale_operator.kinds.clock import format_time, parse_time
from flagscale_operator.kinds.train_job.facts import Observed, PodFact
from flagscale_operator.kinds.train_job.plan import Clock, Plan, TrainJobView, with_status
from flagscale_operator.kinds.train_job.restart import decide_restart
from flagscale_operator.kinds.train_job.result import read_artifact
from flagscale_operator.kinds.train_job.status import Verdicts, build_status


def close_attempt(job: TrainJobView, failure: Failure | None, now: datetime) -> TrainJobStatus:
    """The status with its last attempt ended."""
    status = job.status
    if not status.attempts or status.attempts[-1].end_time:
        return status
    last = status.attempts[-1].model_copy(
        update={"end_time": format_time(now), "cause": failure.cause if failure else None}
    )
    return status.model_copy(update={"attempts": [*status.attempts[:-1], last]})


def end_attempt(
    job: TrainJobView, observed: Observed, attempt: Attempt, failure: Failure, clock: Clock
) -> Plan:
    """End a failed attempt: schedule the next within the budget, or give up."""
    decision = decide_restart(
        failure.cause,
        job.spec.failure_policy,
        counts=job.status.restart_counts,
        restarts=job.status.restarts,
    )
    if not decision.restart:
        message = f"{failure.message} ({decision.explanation})"
        spent = failure.model_copy(update={"message": message})
        return finish_failed(job, observed, spent, clock)
    due = clock.now + timedelta(seconds=decision.delay_s)
    status = close_attempt(job, failure, clock.now).model_copy(
        update={
            "failure": failure,
            "restart_counts": decision.counts,
            "next_attempt_time": format_time(due),
        }
    )
    verdicts = Verdicts.restarting(status, decision.explanation)
    status = build_status(with_status(job, status), verdicts, phase="Restarting", now=clock.now)
    child = observed.child(attempt.number)
    stop = (child,) if child and not child.failed and not child.deleting else ()
    return Plan(status, delete_children=stop, requeue_after_s=decision.delay_s)


def finish_failed(job: TrainJobView, observed: Observed, failure: Failure, clock: Clock) -> Plan:
    """Give up: terminal status, and nothing keeps running."""
    status = close_attempt(job, failure, clock.now).model_copy(
        update={
            "failure": failure,
            "completion_time": format_time(clock.now),
            "next_attempt_time": None,
        }
    )
    status = build_status(
        with_status(job, status), Verdicts.failed(failure), phase="Failed", now=clock.now
    )
    running = tuple(c for c in observed.children if not c.failed and not c.deleting)
    return Plan(status, delete_children=running, requeue_after_s=ttl_timer(job))


def finish_succeeded(job: TrainJobView, pods: tuple[PodFact, ...], clock: Clock) -> Plan:
    """Terminal status with the artifact that rank 0 reported."""
    result = read_artifact(pods, spec=job.spec)
    if result is None and job.spec.trainer and any(not p.finished for p in pods):
        # The job's news overtook the pods': the artifact is in the termination message of rank 0.
        verdicts = Verdicts.running(job.status.attempts[-1].number, pods=job.spec.replicas)
        return Plan(
            build_status(job, verdicts, phase="Running", now=clock.now), requeue_after_s=1.0
        )
    status = _complete(close_attempt(job, None, clock.now), result, clock.now)
    status = build_status(
        with_status(job, status), Verdicts.succeeded(result), phase="Succeeded", now=clock.now
    )
    return Plan(status, requeue_after_s=ttl_timer(job))


def _complete(status: TrainJobStatus, result: Artifact | None, now: datetime) -> TrainJobStatus:
    progress = status.progress
    done = progress and progress.model_copy(
        update={"percent": 100, "eta": None, "step": progress.total_steps or progress.step}
    )
    return status.model_copy(
        update={"artifact": result, "completion_time": format_time(now), "progress": done}
    )


def ttl_timer(job: TrainJobView) -> float | None:
    """Seconds from the end of the job to its deletion, if it is to be deleted."""
    ttl = job.spec.ttl_seconds_after_finished
    return None if ttl is None else float(ttl)


def after_the_end(job: TrainJobView, observed: Observed, clock: Clock) -> Plan:
    """Terminal states stay: nothing is made again; leftovers go, and the job itself at its TTL."""
    leftover = tuple(c for c in observed.children if not (c.failed or c.succeeded or c.deleting))
    status = job.status
    completed, ttl_s = parse_time(status.completion_time), ttl_timer(job)
    if completed is None or ttl_s is None:
        return Plan(status, delete_children=leftover)
    left_s = ttl_s - clock.since(completed)
    if left_s <= 0:
        return Plan(status, delete_job=True)
    return Plan(status, delete_children=leftover, requeue_after_s=left_s + 0.1)
