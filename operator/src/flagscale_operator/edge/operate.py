"""Everything wired together: what the leader runs, and how it stops."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import kopf

from flagscale_operator.controller.queue import Key, KeyedQueue
from flagscale_operator.controller.runner import Reconcile, resync, run_workers
from flagscale_operator.controller.view import ClusterView
from flagscale_operator.edge.informer import run_informer
from flagscale_operator.edge.login import kopf_connection
from flagscale_operator.edge.reconcilers import make_reconcile
from flagscale_operator.edge.serving_load import serving_load
from flagscale_operator.edge.tools import Outside, make_outside
from flagscale_operator.edge.watch import Watch
from flagscale_operator.kinds.tool_matcher.keeper import matcher_key
from flagscale_operator.kube.connection import Connection
from flagscale_operator.kube.http import KubeHttp
from flagscale_operator.kube.kinds import INFERENCE_SERVICE, TRAIN_JOB, KubeKind
from flagscale_operator.progress.board import ProgressBoard
from flagscale_operator.progress.endpoint import publish_endpoint
from flagscale_operator.progress.server import serve_progress
from flagscale_operator.progress.tls import ensure_certificates
from flagscale_operator.progress.tokens import TokenChecker
from flagscale_operator.settings import Settings
from flagscale_operator.telemetry.metrics import Metrics

_log = logging.getLogger(__name__)
DRAIN_S = 20.0
STUCK_S = 120.0
LAG_PERIOD_S = 1.0
LAG_LIMIT_S = 5.0


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


@dataclass(slots=True)
class Health:
    """What the probes ask: filled by the parts that run."""

    ready: bool = False
    lag_s: float = 0.0
    oldest_wait_s: Callable[[], float] = lambda: 0.0

    def unhealthy(self) -> str | None:
        """Why the process should be restarted, or None."""
        if self.lag_s > LAG_LIMIT_S:
            return f"event loop: blocked for {self.lag_s:.1f} s"
        if self.oldest_wait_s() > STUCK_S:
            return f"queue: the oldest key waits for {self.oldest_wait_s():.0f} s"
        return None

    def unready(self) -> str | None:
        """Why the process does not work yet, or None."""
        return None if self.ready else "not all kinds are listed yet"


async def measure(view: ClusterView, health: Health, metrics: Metrics) -> None:
    """Once a second: how late this loop wakes up (what blocks it blocks every watch), phases."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LAG_PERIOD_S
        await asyncio.sleep(LAG_PERIOD_S)
        health.lag_s = max(0.0, loop.time() - due)
        metrics.loop_lag(health.lag_s)
        for entry in view.own():
            metrics.phases(entry.kind.kind, Counter(view.phases(entry)))


async def operate(
    *, settings: Settings, connection: Connection, kube: KubeHttp, metrics: Metrics, health: Health
) -> None:
    """Work as the leader until cancelled; running reconciles are finished first."""
    view, queue = ClusterView(), KeyedQueue(observer=metrics)
    health.oldest_wait_s = queue.oldest_wait_s
    board = ProgressBoard(on_change=_waking(queue, TRAIN_JOB), clock=utc_now)
    certificates = await ensure_certificates(
        kube, namespace=settings.namespace, pod_ip=settings.pod_ip, now=utc_now()
    )
    waking = _waking(queue, INFERENCE_SERVICE)
    load = await serving_load(
        kube, view, metrics, settings.namespace, certificates.ca_pem, waking, utc_now
    )
    outside = make_outside(settings, kube, view, queue)
    reconcile = make_reconcile(
        settings,
        kube=kube,
        view=view,
        board=board,
        load=load.board,
        outside=outside,
        metrics=metrics,
        ca_pem=certificates.ca_pem,
        clock=utc_now,
    )
    async with serve_progress(
        board=board,
        tokens=TokenChecker(kube, pods=view.pods),
        certificates=certificates,
        port=settings.progress_port,
        on_post=metrics.progress_post,
        job_exists=lambda ns, name: view.train_jobs.get((ns, name)) is not None,
        routes=load.routes,
        client_ca_pem=load.client_ca_pem,
    ):
        where = {"namespace": settings.namespace, "address": settings.pod_ip}
        await publish_endpoint(kube, **where, port=settings.progress_port)
        queue.add(matcher_key(settings.namespace))
        await _work(settings, connection, view, queue, reconcile, outside, metrics, health)


def _waking(queue: KeyedQueue, kind: KubeKind) -> Callable[[str, str], None]:
    return lambda namespace, name: queue.add(Key(kind.kind, namespace, name))


async def _work(
    settings: Settings,
    connection: Connection,
    view: ClusterView,
    queue: KeyedQueue,
    reconcile: Reconcile,
    outside: Outside,
    metrics: Metrics,
    health: Health,
) -> None:
    registry = kopf.OperatorRegistry()
    Watch(registry=registry, view=view, queue=queue, on_event=metrics.watch_event)
    ready, stop = asyncio.Event(), asyncio.Event()

    workers = asyncio.create_task(
        run_workers(queue, reconcile, workers=settings.workers, observer=metrics)
    )
    background = [
        asyncio.create_task(measure(view, health, metrics)),
        asyncio.create_task(resync(queue, view.keys)),
        asyncio.create_task(_mark_ready(ready, health)),
        asyncio.create_task(outside.run(metrics)),
    ]
    informer = asyncio.create_task(
        run_informer(
            registry=registry,
            settings=settings,
            login=lambda: kopf_connection(connection, now=utc_now()),
            ready=ready,
            stop=stop,
        )
    )
    try:
        await _until_one_ends(informer, workers)
    finally:
        health.ready = False
        stop.set()
        queue.close()
        await _drain((informer, workers), background)


async def _drain(
    finishing: "Sequence[asyncio.Task[None]]", background: "Sequence[asyncio.Task[None]]"
) -> None:
    """Let running reconciles and the informer end in time; the rest is cancelled at once."""
    for task in background:
        task.cancel()
    await asyncio.wait(finishing, timeout=DRAIN_S)
    for task in finishing:
        task.cancel()


async def _until_one_ends(*tasks: "asyncio.Task[None]") -> None:
    """Raise what the first to end has raised."""
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        if task.done():
            task.result()


async def _mark_ready(ready: asyncio.Event, health: Health) -> None:
    await ready.wait()
    health.ready = True
    _log.info("watching; all kinds are listed")
