"""While an attempt exists: running, failing, succeeding, suspending."""

from flagscale_api.v1alpha1.train_job_status import Attempt, Failure, TrainJobStatus
from flagscale_operator.kinds.clock import parse_time
from flagscale_operator.kinds.pod_parts import NODE_LOSS_TOLERATION_S
from flagscale_operator.kinds.train_job.ending import end_attempt, finish_succeeded
from flagscale_operator.kinds.train_job.facts import ChildFact, Observed, PodFact
from flagscale_operator.kinds.train_job.plan import (
    Clock,
    Plan,
    TrainJobView,
    was_running,
    with_status,
)
from flagscale_operator.kinds.train_job.root_cause import deleted_first, find_root_cause
from flagscale_operator.kinds.train_job.status import (
    Verdicts,
    build_status,
    carry_progress,
    waiting_verdict,
)
from flagscale_operator.kinds.train_job.suspending import switch_suspend, while_suspended
from flagscale_operator.kinds.train_job.timers import hang_due, timers

SETTLE_S = 4.0
"""Wait after a gang's first failure for the other pods: their news may name the real cause."""


def during_attempt(job: TrainJobView, observed: Observed, attempt: Attempt, clock: Clock) -> Plan:
    """Watch the gang: its success, first failure, hang, suspension, progress."""
    child = observed.child(attempt.number)
    job = with_status(job, carry_progress(job.status, observed, job.spec))
    if child is None or child.deleting:
        return _child_vanished(job, observed, attempt, child, clock)
    pods = observed.pods_of(attempt.number)
    if child.succeeded:
        return finish_succeeded(job, pods, clock)
    failure = _find_failure(job, observed, attempt, child, clock)
    if failure and not _settled(pods, child, failure, clock):
        return Plan(_running_status(job, child, pods, clock), requeue_after_s=1.0)
    if failure and not (job.spec.suspend and child.suspended):
        return end_attempt(job, observed, attempt, failure, clock)
    if not job.spec.queue_name and job.spec.suspend != child.suspended:
        return switch_suspend(job, observed, attempt, child, clock)
    if child.suspended:
        return while_suspended(job, pods, clock)
    status = _running_status(job, child, pods, clock)
    due = timers(job, clock, pods=pods, operator_started_at=observed.operator_started_at)
    return Plan(status, requeue_after_s=min(due, default=None))


def _running_status(
    job: TrainJobView, child: ChildFact, pods: tuple[PodFact, ...], clock: Clock
) -> TrainJobStatus:
    wanted = job.spec.replicas
    running = sum(p.running for p in pods)
    begun = any(p.running or p.finished for p in pods)
    if running == wanted or (begun and was_running(job)):
        verdicts = Verdicts.running(child.attempt, pods=wanted)
        return build_status(job, verdicts, phase="Running", now=clock.now)
    if not pods:
        # As it was reported when it was made: no news, no write.
        return build_status(job, Verdicts.created(child.attempt), phase="Starting", now=clock.now)
    verdict = waiting_verdict(pods, wanted=wanted, running=running)
    return build_status(job, Verdicts.starting(*verdict), phase="Starting", now=clock.now)


def _child_vanished(
    job: TrainJobView,
    observed: Observed,
    attempt: Attempt,
    child: ChildFact | None,
    clock: Clock,
) -> Plan:
    if child is None:
        # The view may lag behind; whoever executes this plan asks the API server first.
        failure = _deleted(attempt)
        ended = end_attempt(job, observed, attempt, failure, clock)
        return Plan(
            ended.status, confirm_absent=attempt.child, requeue_after_s=ended.requeue_after_s
        )
    return end_attempt(job, observed, attempt, _deleted(attempt), clock)


def _deleted(attempt: Attempt) -> Failure:
    return Failure(
        cause="Killed",
        message=f"PyTorchJob {attempt.child} was deleted while it ran; "
        "the gang restarts from its newest checkpoint (to stop it, set spec.suspend)",
    )


def _find_failure(
    job: TrainJobView, observed: Observed, attempt: Attempt, child: ChildFact, clock: Clock
) -> Failure | None:
    pods = observed.pods_of(attempt.number)
    stopping = child.suspended or job.spec.suspend
    failure = find_root_cause(
        pods, child_failed=child.failed or stopping, processes=job.spec.processes_per_replica
    )
    if failure:
        return None if stopping and failure.cause in ("Killed", "PeerLost") else failure
    if child.failed:
        message = f"PyTorchJob {child.name} failed and none of its pods says why; see its events"
        return deleted_first(pods) or Failure(cause="Unknown", message=message)
    if child.suspended:
        return None
    return (
        _lost_node(pods, clock)
        or _hang(job, observed, clock)
        or _pending_too_long(job, attempt, pods, clock)
    )


def _lost_node(pods: tuple[PodFact, ...], clock: Clock) -> Failure | None:
    """A pod whose node stopped answering, which Kubernetes marks unready and nothing else.

    It evicts such pods only while other nodes of the zone are healthy, so we don't wait for that.
    """
    for pod in pods:
        if pod.unready_since and clock.since(pod.unready_since) >= NODE_LOSS_TOLERATION_S:
            return Failure(
                cause="NodeLost",
                message=f"node {pod.node} has not answered for {NODE_LOSS_TOLERATION_S} s; the "
                "gang restarts from its newest checkpoint where there is room",
                pod=pod.name,
                node=pod.node,
            )
    return None


def _hang(job: TrainJobView, observed: Observed, clock: Clock) -> Failure | None:
    due = hang_due(job, observed.operator_started_at)
    if due is None or clock.now < due:
        return None
    limit = job.spec.failure_policy.hang_timeout_seconds
    step = job.status.progress.step if job.status.progress else None
    return Failure(
        cause="Hang",
        message=f"no progress for {limit} s (spec.failurePolicy.hangTimeoutSeconds) after step "
        f"{step}; the gang restarts from its newest checkpoint",
    )


def _pending_too_long(
    job: TrainJobView, attempt: Attempt, pods: tuple[PodFact, ...], clock: Clock
) -> Failure | None:
    limit = job.spec.failure_policy.pending_timeout_seconds
    if limit is None or was_running(job) or sum(p.running for p in pods) == job.spec.replicas:
        return None
    if clock.since(parse_time(attempt.start_time)) < limit:
        return None
    reason, message = waiting_verdict(pods, wanted=job.spec.replicas, running=0)
    return Failure(
        cause="PendingTimeout",
        message=f"the gang did not start within {limit} s "
        f"(spec.failurePolicy.pendingTimeoutSeconds): {reason}: {message}",
    )


def _settled(pods: tuple[PodFact, ...], child: ChildFact, failure: Failure, clock: Clock) -> bool:
    """Whether all news of a failed gang is in, or it was waited for long enough."""
    if failure.cause in ("Hang", "PendingTimeout", "NodeLost", "Preempted"):
        return True
    ends = [p.termination.finished_at for p in pods if p.termination and p.termination.finished_at]
    if all(p.finished or p.deleting for p in pods) or not ends:
        return True
    return clock.since(min(ends)) > SETTLE_S
