"""Before the first attempt and between two: wait, then make the next."""

from flagscale_api.v1alpha1.train_job_status import Attempt
from flagscale_operator.kinds.clock import parse_time
from flagscale_operator.kinds.train_job.facts import ChildFact, Observed, PodFact
from flagscale_operator.kinds.train_job.plan import (
    Clock,
    Plan,
    TrainJobView,
    begin_attempt,
    with_status,
)
from flagscale_operator.kinds.train_job.status import Verdicts, build_status
from flagscale_operator.kinds.train_job.timers import deadline_timers, timers

RELEASE_S = 15.0
"""A pod this long past its deletion time is on a lost node and isn't waited for."""


def between_attempts(
    job: TrainJobView, observed: Observed, last: Attempt | None, clock: Clock
) -> Plan:
    """Wait for the back-off and for the old gang to go, then begin the next attempt."""
    number = last.number + 1 if last else 1
    if job.spec.suspend and not job.spec.queue_name:
        status = build_status(job, Verdicts.suspended(), phase="Suspended", now=clock.now)
        return Plan(status, delete_children=_stale_children(observed, number))
    wait_s = _wait_before(job, observed, number, clock)
    if wait_s > 0:
        status = build_status(
            job, Verdicts.restarting(job.status), phase="Restarting", now=clock.now
        )
        stale = tuple(c for c in _stale_children(observed, number) if not c.failed)
        return Plan(
            status,
            delete_children=stale,
            requeue_after_s=min([wait_s, *deadline_timers(job, clock)]),
        )
    begun = with_status(job, begin_attempt(job, number, clock.now))
    status = build_status(
        begun,
        Verdicts.created(number),
        phase="Starting",
        now=clock.now,
    )
    # The last failed attempt stays for its logs; older ones go.
    return Plan(
        status,
        create_attempt=number,
        delete_children=tuple(c for c in observed.children if c.attempt < number - 1),
        requeue_after_s=min(timers(begun, clock), default=None),
    )


def _stale_children(observed: Observed, number: int) -> tuple[ChildFact, ...]:
    return tuple(c for c in observed.children if c.attempt < number and not c.deleting)


def _wait_before(job: TrainJobView, observed: Observed, number: int, clock: Clock) -> float:
    """Seconds until the next attempt may start: its back-off, and the old gang must be gone."""
    due = parse_time(job.status.next_attempt_time)
    wait_s = clock.until(due) if due else 0.0
    holders = [
        p for p in observed.pods if p.attempt < number and not p.finished and not _lost(p, clock)
    ]
    return max(wait_s, 1.0) if holders else wait_s


def _lost(pod: PodFact, clock: Clock) -> bool:
    if pod.deleting and pod.unready_since:
        return True
    return pod.deletion_time is not None and clock.since(pod.deletion_time) > RELEASE_S
