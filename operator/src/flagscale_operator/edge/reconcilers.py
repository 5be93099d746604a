"""One reconcile for all kinds: the key's kind decides whose it is."""

from collections.abc import Callable, Mapping
from datetime import datetime

from flagscale_api import keys
from flagscale_operator.contexts import serving_context, training_context
from flagscale_operator.controller.queue import Key
from flagscale_operator.controller.runner import Reconcile
from flagscale_operator.controller.view import ClusterView
from flagscale_operator.edge.tools import Outside
from flagscale_operator.kinds.agent_tool.reconciler import AgentToolReconciler
from flagscale_operator.kinds.agent_tool_source.reconciler import AgentToolSourceReconciler
from flagscale_operator.kinds.inference_service.load import LoadSource
from flagscale_operator.kinds.inference_service.reconciler import InferenceServiceReconciler
from flagscale_operator.kinds.tool_matcher.keeper import TOOL_MATCHER, MatcherKeeper
from flagscale_operator.kinds.train_job.reconciler import TrainJobReconciler
from flagscale_operator.kube.http import KubeHttp
from flagscale_operator.kube.kinds import (
    AGENT_TOOL,
    AGENT_TOOL_SOURCE,
    INFERENCE_SERVICE,
    TRAIN_JOB,
    KubeKind,
)
from flagscale_operator.progress.board import ProgressBoard
from flagscale_operator.settings import Settings
from flagscale_operator.telemetry.events import EventRecorder
from flagscale_operator.telemetry.logs import bound
from flagscale_operator.telemetry.metrics import Metrics

Clock = Callable[[], datetime]


def field_manager(kind: KubeKind) -> str:
    """The name that a kind's writes go under."""
    return f"flagscale/{kind.kind.lower()}"


def make_reconcile(
    settings: Settings,
    *,
    kube: KubeHttp,
    view: ClusterView,
    board: ProgressBoard,
    load: LoadSource,
    outside: Outside,
    metrics: Metrics,
    ca_pem: str,
    clock: Clock,
) -> Reconcile:
    """The reconcile of every kind, with the object in every log line of it."""
    events = EventRecorder(
        kube,
        component="flagscale-operator",
        instance=settings.pod_name,
        clock=clock,
        on_failure=metrics.event_failed,
    )
    train_jobs = TrainJobReconciler(
        kube=kube.managing_as(field_manager(TRAIN_JOB)),
        view=view,
        progress=board,
        events=events,
        restarts=metrics,
        context=training_context(settings, ca_pem),
        clock=clock,
    )
    return _by_kind(
        {
            TRAIN_JOB.kind: train_jobs.reconcile,
            **_service_reconcile(settings, kube, view, load, events, ca_pem, clock),
            **_tool_reconciles(kube, view, outside, events, clock),
            TOOL_MATCHER: _matcher_keeper(settings, kube, events).reconcile,
        }
    )


def _service_reconcile(
    settings: Settings,
    kube: KubeHttp,
    view: ClusterView,
    load: LoadSource,
    events: EventRecorder,
    ca_pem: str,
    clock: Clock,
) -> dict[str, Reconcile]:
    services = InferenceServiceReconciler(
        kube=kube.managing_as(field_manager(INFERENCE_SERVICE)),
        view=view,
        load=load,
        events=events,
        context=serving_context(settings, ca_pem),
        clock=clock,
    )
    return {INFERENCE_SERVICE.kind: services.reconcile}


def _tool_reconciles(
    kube: KubeHttp, view: ClusterView, outside: Outside, events: EventRecorder, clock: Clock
) -> dict[str, Reconcile]:
    tools = AgentToolReconciler(
        kube=kube.managing_as(field_manager(AGENT_TOOL)),
        view=view,
        probes=outside.probes,
        indexes=outside.index,
        events=events,
        clock=clock,
    )
    sources = AgentToolSourceReconciler(
        kube=kube.managing_as(keys.TOOL_SOURCE_FIELD_MANAGER),
        view=view,
        listings=outside.listings,
        events=events,
        clock=clock,
    )
    return {AGENT_TOOL.kind: tools.reconcile, AGENT_TOOL_SOURCE.kind: sources.reconcile}


def _matcher_keeper(settings: Settings, kube: KubeHttp, events: EventRecorder) -> MatcherKeeper:
    return MatcherKeeper(
        kube=kube.managing_as(f"flagscale/{TOOL_MATCHER.lower()}"),
        events=events,
        wanted=settings.matcher,
        watch_namespaces=settings.watch_namespaces,
    )


def _by_kind(reconciles: Mapping[str, Reconcile]) -> Reconcile:
    async def reconcile(key: Key) -> float | None:
        with bound(controller=key.kind, namespace=key.namespace, name=key.name):
            return await reconciles[key.kind](key)

    return reconcile
