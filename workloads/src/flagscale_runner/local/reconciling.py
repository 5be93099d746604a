"""The operator's own reconcilers, over the objects of a folder."""

import os
from collections.abc import Awaitable, Callable
from datetime import datetime

from flagscale_operator.controller.queue import Key
from flagscale_operator.controller.view import ClusterView
from flagscale_operator.kinds.inference_service.load import LoadFact
from flagscale_operator.kinds.inference_service.pods import ServingContext
from flagscale_operator.kinds.inference_service.reconciler import InferenceServiceReconciler
from flagscale_operator.kinds.train_job.pod import RenderContext
from flagscale_operator.kinds.train_job.reconciler import TrainJobReconciler
from flagscale_operator.kube.kinds import TRAIN_JOB
from flagscale_operator.progress.board import ProgressBoard
from flagscale_operator.telemetry.events import EventRecorder
from flagscale_operator.telemetry.metrics import Metrics
from flagscale_runner.local.objects import FolderKube


class NoLoad:
    """No service scales by its load on one machine."""

    def newest(self, namespace: str, name: str) -> LoadFact | None:
        """See `LoadSource.newest`."""
        return None

    def forget(self, namespace: str, name: str) -> None:
        """See `LoadSource.forget`."""


def reconcile_with(
    kube: FolderKube,
    view: ClusterView,
    board: ProgressBoard,
    metrics: Metrics,
    context: RenderContext,
    *,
    clock: Callable[[], datetime],
) -> Callable[[Key], Awaitable[float | None]]:
    """One pass over the object of a key, by the reconciler of its kind."""
    events = EventRecorder(
        kube,
        component="flagscale-local",
        instance=str(os.getpid()),
        clock=clock,
        on_failure=metrics.event_failed,
    )
    jobs = TrainJobReconciler(
        kube=kube,
        view=view,
        progress=board,
        events=events,
        restarts=metrics,
        context=context,
        clock=clock,
    )
    services = InferenceServiceReconciler(
        kube=kube,
        view=view,
        load=NoLoad(),
        events=events,
        context=ServingContext(""),
        clock=clock,
    )

    async def reconcile(key: Key) -> float | None:
        reconciler = jobs if key.kind == TRAIN_JOB.kind else services
        return await reconciler.reconcile(key)

    return reconcile
