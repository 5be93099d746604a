"""Limits in time: what is due now, and when to look again."""

from datetime import datetime, timedelta

from flagscale_api.v1alpha1.train_job_status import Failure
from flagscale_operator.kinds.clock import parse_time
from flagscale_operator.kinds.pod_parts import NODE_LOSS_TOLERATION_S
from flagscale_operator.kinds.train_job.facts import PodFact
from flagscale_operator.kinds.train_job.plan import Clock, TrainJobView, was_running


def passed_deadline(job: TrainJobView, clock: Clock) -> Failure | None:
    """The failure if spec.activeDeadlineSeconds is over."""
    limit, started = job.spec.active_deadline_seconds, parse_time(job.status.start_time)
    if limit is None or started is None or clock.since(started) < limit:
        return None
    return Failure(
        cause="Deadline",
        message=f"spec.activeDeadlineSeconds: {limit} s are over; raise it in a new TrainJob",
    )


def deadline_timers(job: TrainJobView, clock: Clock) -> list[float]:
    """When to look at the deadline, as a list of at most one delay (seconds)."""
    limit, started = job.spec.active_deadline_seconds, parse_time(job.status.start_time)
    if limit is None or started is None:
        return []
    return [clock.until(started + timedelta(seconds=limit)) + 0.1]


def hang_due(job: TrainJobView, operator_started_at: datetime | None) -> datetime | None:
    """When the run counts as hung unless it advances; None before its first report."""
    advanced = parse_time(job.status.progress and job.status.progress.last_update_time)
    if advanced is None:
        return None
    # Posts that came while no operator ran were lost: the clock can't start before it did.
    base = max(advanced, operator_started_at) if operator_started_at else advanced
    return base + timedelta(seconds=job.spec.failure_policy.hang_timeout_seconds)


def timers(
    job: TrainJobView,
    clock: Clock,
    *,
    pods: tuple[PodFact, ...] = (),
    operator_started_at: datetime | None = None,
) -> list[float]:
    """Moments at which time alone changes the answer."""
    due = deadline_timers(job, clock)
    due += [
        clock.until(p.unready_since + timedelta(seconds=NODE_LOSS_TOLERATION_S)) + 0.1
        for p in pods
        if p.unready_since
    ]
    hang = hang_due(job, operator_started_at)
    if hang:
        due.append(clock.until(hang) + 0.1)
    pending = job.spec.failure_policy.pending_timeout_seconds
    if pending is not None and not was_running(job) and job.status.attempts:
        started = parse_time(job.status.attempts[-1].start_time)
        if started:
            due.append(clock.until(started + timedelta(seconds=pending)) + 0.1)
    return due
