"""The shell around the pure plan: read the view, carry out the plan, write what changed.

Order matters for crash safety. What an attempt becomes is applied before status names it (names
are deterministic, so a repeat is harmless, and a child without a record is adopted). The end of an
attempt is written to status before its child is deleted or its successor made.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from flagscale_api.v1alpha1.train_job import TrainJobSpec
from flagscale_api.v1alpha1.train_job_status import TrainJobStatus
from flagscale_operator.controller.queue import Key
from flagscale_operator.controller.store import Manifest
from flagscale_operator.controller.view import ClusterView
from flagscale_operator.errors import ApiError, InvalidSpecError
from flagscale_operator.kinds.clock import parse_time
from flagscale_operator.kinds.reporting import Recorder, Reporter
from flagscale_operator.kinds.spec import parse_spec
from flagscale_operator.kinds.train_job.children import Children, explain_blocked, is_of
from flagscale_operator.kinds.train_job.facts import (
    Observed,
    ProgressFact,
    observe_child,
    observe_pod,
)
from flagscale_operator.kinds.train_job.names import child_name
from flagscale_operator.kinds.train_job.plan import Plan, TrainJobView
from flagscale_operator.kinds.train_job.pod import RenderContext
from flagscale_operator.kinds.train_job.reconcile import plan
from flagscale_operator.kinds.train_job.status import Verdicts, build_status
from flagscale_operator.kube.client import Kube
from flagscale_operator.kube.kinds import TRAIN_JOB

_log = logging.getLogger(__name__)
BLOCKED_RETRY_S = 15.0


class ProgressSource(Protocol):
    """Where the pods' reports are kept."""

    def newest(self, namespace: str, name: str) -> ProgressFact | None:
        """The newest report of a job's current attempt."""

    def request_checkpoint(self, namespace: str, name: str) -> None:
        """Ask the pods for a checkpoint with their next report."""

    def forget(self, namespace: str, name: str) -> None:
        """Drop reports and requests of a job."""


class RestartObserver(Protocol):
    """Counts gang restarts."""

    def restarted(self, cause: str) -> None:
        """A gang restart was decided for this cause."""


def parse_train_job(body: Manifest) -> TrainJobView:
    """A TrainJob as the API server has it; raises InvalidSpecError naming field and value."""
    metadata = body["metadata"]
    return TrainJobView(
        namespace=metadata.get("namespace", "default"),
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        generation=metadata.get("generation", 1),
        created_at=parse_time(metadata.get("creationTimestamp")) or datetime.min,  # noqa: DTZ901
        spec=parse_spec(TrainJobSpec, body),
        status=TrainJobStatus.model_validate(body.get("status") or {}),
    )


class TrainJobReconciler:
    """Brings one TrainJob at a time towards its spec."""

    def __init__(
        self,
        *,
        kube: Kube,
        view: ClusterView,
        progress: ProgressSource,
        events: Recorder,
        restarts: RestartObserver,
        context: RenderContext,
        clock: Callable[[], datetime],
    ) -> None:
        self._kube = kube
        self._view = view
        self._progress = progress
        self._reporter = Reporter(
            kind=TRAIN_JOB,
            kube=kube,
            store=view.train_jobs,
            events=events,
            good_reasons=_GOOD_REASONS,
            # A new job's first state is no news.
            silent_reasons=("Created",),
        )
        self._restarts = restarts
        self._children = Children(kube=kube, store=view.children, context=context)
        self._clock = clock
        self._started_at = clock()

    async def reconcile(self, key: Key) -> float | None:
        """One pass; the seconds after which time alone may change the answer."""
        body = self._view.train_jobs.get((key.namespace, key.name))
        if body is None or "deletionTimestamp" in body["metadata"]:
            self._progress.forget(key.namespace, key.name)
            self._forget_gone_pods(key)
            return None
        try:
            job = parse_train_job(body)
        except InvalidSpecError as error:
            await self._report_invalid(body, error)
            return None
        decided = plan(job, self._observe(job), now=self._clock())
        try:
            if decided.confirm_absent and await self._children.exists(job, decided.confirm_absent):
                return 0.0
            await self._make(job, decided)
        except ApiError as error:
            return await self._report_blocked(body, job, error, decided.create_attempt or 1)
        await self._write_status(body, job, decided.status)
        await self._remove(job, decided)
        return decided.requeue_after_s

    def _observe(self, job: TrainJobView) -> Observed:
        owner = (job.namespace, job.name)
        return Observed(
            children=tuple(
                observe_child(b) for b in self._view.children.owned_by(owner) if is_of(b, job)
            ),
            pods=(
                *(observe_pod(b) for b in self._view.pods.owned_by(owner) if is_of(b, job)),
                *(
                    observe_pod(b, gone=True)
                    for b in self._view.gone_pods.owned_by(owner)
                    if is_of(b, job)
                ),
            ),
            progress=self._progress.newest(job.namespace, job.name),
            operator_started_at=self._started_at,
        )

    async def _make(self, job: TrainJobView, decided: Plan) -> None:
        if decided.create_attempt is not None:
            await self._children.create(job, decided.create_attempt)
        if decided.set_suspend is not None:
            attempt, suspend = decided.set_suspend
            await self._children.set_suspend(job, attempt, suspend=suspend)
            if not suspend:
                self._progress.forget(job.namespace, job.name)
                self._forget_gone_pods(Key("TrainJob", job.namespace, job.name))
        if decided.request_checkpoint:
            self._progress.request_checkpoint(job.namespace, job.name)

    async def _write_status(
        self, body: Manifest, job: TrainJobView, status: TrainJobStatus
    ) -> None:
        if status == job.status:
            return
        await self._reporter.write(body, status)
        if status.next_attempt_time and status.next_attempt_time != job.status.next_attempt_time:
            self._restarts.restarted(status.failure.cause if status.failure else "Unknown")
        await self._reporter.tell(body, job.status.conditions, status.conditions)

    async def _remove(self, job: TrainJobView, decided: Plan) -> None:
        for child in decided.delete_children:
            await self._children.delete(job, child)
        if decided.create_attempt is not None:
            self._forget_gone_pods(Key("TrainJob", job.namespace, job.name))
        if decided.delete_job:
            await self._kube.delete(TRAIN_JOB, job.namespace, job.name, uid=job.uid)

    def _forget_gone_pods(self, key: Key) -> None:
        for body in self._view.gone_pods.owned_by((key.namespace, key.name)):
            self._view.gone_pods.remove(body)

    async def _report_invalid(self, body: Manifest, error: InvalidSpecError) -> None:
        stand_in = _StatusOnly(
            generation=body["metadata"].get("generation", 1),
            status=TrainJobStatus.model_validate(body.get("status") or {}),
        )
        await self._report(body, stand_in, error.reason, str(error))

    async def _report_blocked(
        self, body: Manifest, job: TrainJobView, error: ApiError, attempt: int
    ) -> float | None:
        reason, message = explain_blocked(error, child_name(job.name, attempt))
        if reason is None:
            raise error
        await self._report(body, job, reason, message)
        return BLOCKED_RETRY_S

    async def _report(
        self, body: Manifest, job: "TrainJobView | _StatusOnly", reason: str, message: str
    ) -> None:
        status = build_status(
            job, Verdicts.blocked(reason, message), phase="Pending", now=self._clock()
        )
        if status != job.status:
            await self._reporter.write(body, status)
            await self._reporter.tell(body, job.status.conditions, status.conditions)


class _StatusOnly:
    """A job whose spec can't be read: still has a status to write."""

    def __init__(self, *, generation: int, status: TrainJobStatus) -> None:
        self.generation = generation
        self.status = status


_GOOD_REASONS = frozenset({"Starting", "Suspending", "Suspended", "Resumed", "Queued"})
