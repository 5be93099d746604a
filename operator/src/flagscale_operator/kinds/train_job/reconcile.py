"""Desired against observed: what to do about one TrainJob now, and what to report.

Level-triggered and pure: `plan` sees the whole job, the whole observation and the clock, and the
same input twice yields no action the second time. Crash safety follows from the order that the
shell keeps: an attempt's end is in status before its successor is made, and names of children are
functions of the attempt, so whoever takes over continues at the same attempt.
"""

from datetime import datetime

from flagscale_operator.kinds.train_job.between_attempts import between_attempts
from flagscale_operator.kinds.train_job.during_attempt import during_attempt
from flagscale_operator.kinds.train_job.ending import after_the_end, finish_failed
from flagscale_operator.kinds.train_job.facts import Observed
from flagscale_operator.kinds.train_job.plan import (
    Clock,
    Plan,
    TrainJobView,
    begin_attempt,
    with_status,
)
from flagscale_operator.kinds.train_job.timers import passed_deadline


def plan(job: TrainJobView, observed: Observed, *, now: datetime) -> Plan:
    """The next actions and the status to report; see the module's docstring for the rules."""
    clock = Clock(now)
    if job.status.completion_time:
        return after_the_end(job, observed, clock)
    job = _adopt_recorded(job, observed, now)
    expired = passed_deadline(job, clock)
    if expired:
        return finish_failed(job, observed, expired, clock)
    attempt = job.status.attempts[-1] if job.status.attempts else None
    if attempt is None or attempt.end_time:
        return between_attempts(job, observed, attempt, clock)
    return during_attempt(job, observed, attempt, clock)


def _adopt_recorded(job: TrainJobView, observed: Observed, now: datetime) -> TrainJobView:
    """Record an attempt whose child exists: its maker died before it could write status."""
    recorded = job.status.attempts[-1].number if job.status.attempts else 0
    unknown = [c for c in observed.children if c.attempt > recorded and not c.deleting]
    if not unknown:
        return job
    child = max(unknown, key=lambda c: c.attempt)
    return with_status(job, begin_attempt(job, child.attempt, child.created_at or now))
