"""The operator's own reconcilers, over the objects of a folder."""

import os
from collections.abc import Awaitable, Callable
from datetime import datetime

from flagscale_operator.controller.queue import Key
from flagscale_operator.controller.view import ClusterView
from flagscale_operator.edge.tools import Outside
from flagscale_operator.kinds.agent_tool.reconciler import AgentToolReconciler
from flagscale_operator.kinds.agent_tool_source.reconciler import AgentToolSourceReconciler
from flagscale_operator.kinds.inference_service.load import LoadFact
from flagscale_operator.kinds.inference_service.pods import ServingContext
from flagscale_operator.kinds.inference_service.reconciler import InferenceServiceReconciler
from flagscale_operator.kinds.train_job.pod import RenderContext
from flagscale_operator.kinds.train_job.reconciler import TrainJobReconciler
from flagscale_operator.kube.kinds import (
    AGENT_TOOL,
    AGENT_TOOL_SOURCE,
    INFERENCE_SERVICE,
    TRAIN_JOB,
)
from flagscale_operator.outside.matcher_index import Indexed
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


class IndexHere:
    """Every tool is found: who matches reads the folder itself."""

    url = "this machine"

    def of(self, uid: str, generation: int) -> Indexed:
        """See `Indexes.of`."""
        return Indexed(replicas=1, having=1)


def _recorder(kube: FolderKube, metrics: Metrics, clock: Callable[[], datetime]) -> EventRecorder:
    return EventRecorder(
        kube,
        component="flagscale-local",
        instance=str(os.getpid()),
        clock=clock,
        on_failure=metrics.event_failed,
    )


def _of_tools(
    kube: FolderKube,
    view: ClusterView,
    outside: Outside,
    events: EventRecorder,
    clock: Callable[[], datetime],
) -> dict[str, Callable[[Key], Awaitable[float | None]]]:
    tools = AgentToolReconciler(
        kube=kube,
        view=view,
        probes=outside.probes,
        indexes=IndexHere(),
        events=events,
        clock=clock,
    )
    sources = AgentToolSourceReconciler(
        kube=kube, view=view, listings=outside.listings, events=events, clock=clock
    )
    return {AGENT_TOOL.kind: tools.reconcile, AGENT_TOOL_SOURCE.kind: sources.reconcile}


def reconcile_with(
    kube: FolderKube,
    view: ClusterView,
    board: ProgressBoard,
    outside: Outside,
    metrics: Metrics,
    context: RenderContext,
    *,
    clock: Callable[[], datetime],
) -> Callable[[Key], Awaitable[float | None]]:
    """One pass over the object of a key, by the reconciler of its kind."""
    events = _recorder(kube, metrics, clock)
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
    by_kind = {
        TRAIN_JOB.kind: jobs.reconcile,
        INFERENCE_SERVICE.kind: services.reconcile,
        **_of_tools(kube, view, outside, events, clock),
    }

    async def reconcile(key: Key) -> float | None:
        return await by_kind[key.kind](key)

    return reconcile
