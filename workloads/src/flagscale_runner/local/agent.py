"""The agent: the operator's own reconciler over the folder, until nothing is left to do.

Started by the first command line that needs it; at most one runs per folder, and it ends by itself.
Killed at any moment, the next command line starts another, which goes on from the files.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from prometheus_client import CollectorRegistry

from flagscale_operator.controller.queue import Key, KeyedQueue
from flagscale_operator.controller.runner import run_workers
from flagscale_operator.controller.view import ClusterView
from flagscale_operator.edge.tools import make_outside
from flagscale_operator.kinds.train_job.pod import RenderContext
from flagscale_operator.kube.kinds import (
    AGENT_TOOL,
    AGENT_TOOL_SOURCE,
    INFERENCE_SERVICE,
    POD,
    TRAIN_JOB,
)
from flagscale_operator.progress.board import ProgressBoard
from flagscale_operator.progress.server import serve_progress
from flagscale_operator.progress.tls import ensure_certificates
from flagscale_operator.progress.tokens import TokenChecker
from flagscale_operator.settings import Settings
from flagscale_operator.telemetry.metrics import Metrics
from flagscale_runner.base import is_settled
from flagscale_runner.local.controllers import MADE, Controllers, controllers_of
from flagscale_runner.local.durable import write_whole
from flagscale_runner.local.folders import Folders
from flagscale_runner.local.informer import FolderInformer
from flagscale_runner.local.objects import FolderKube
from flagscale_runner.local.reconciling import reconcile_with

_log = logging.getLogger(__name__)
TICK_S: Final = 0.2
IDLE_S: Final = 10.0
PORT_FILE: Final = "progress.port"
_ADDRESS: Final = "127.0.0.1"
_OWN_NAMESPACE: Final = "flagscale-local"
WATCHED: Final = (TRAIN_JOB, INFERENCE_SERVICE, AGENT_TOOL, AGENT_TOOL_SOURCE, *MADE, POD)


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


async def run_agent(folders: Folders, environ: Mapping[str, str]) -> None:
    """Work until every job has ended. The caller holds the agent's lock."""
    kube, view, queue = FolderKube(folders), ClusterView(), KeyedQueue()
    metrics = Metrics(CollectorRegistry(), version="local")
    board = ProgressBoard(
        on_change=lambda ns, name: queue.add(Key(TRAIN_JOB.kind, ns, name)), clock=utc_now
    )
    certificates = await ensure_certificates(
        kube, namespace=_OWN_NAMESPACE, pod_ip=_ADDRESS, now=utc_now()
    )
    async with serve_progress(
        board=board,
        tokens=TokenChecker(kube, pods=view.pods),
        certificates=certificates,
        host=_ADDRESS,
        port=_kept_port(folders),
        on_post=metrics.progress_post,
        job_exists=lambda ns, name: view.train_jobs.get((ns, name)) is not None,
    ) as port:
        write_whole(folders.root / PORT_FILE, str(port))
        context = RenderContext("", f"https://{_ADDRESS}:{port}", certificates.ca_pem)
        outside = make_outside(Settings(tool_loopback=True), kube, view, queue)
        asking = asyncio.create_task(outside.run(metrics))
        reconcile = reconcile_with(kube, view, board, outside, metrics, context, clock=utc_now)
        workers = asyncio.create_task(run_workers(queue, reconcile, workers=1, observer=metrics))
        informer = FolderInformer(kube, view, queue, WATCHED)
        controllers = controllers_of(kube, folders, environ, utc_now)
        try:
            await _until_idle(informer, controllers, view, queue)
        finally:
            queue.close()
            await workers
            asking.cancel()
            await asyncio.wait({asking})


async def _until_idle(
    informer: FolderInformer, controllers: Controllers, view: ClusterView, queue: KeyedQueue
) -> None:
    busy_at = time.monotonic()
    while time.monotonic() - busy_at < IDLE_S:
        informer.sync()
        live = controllers.sync()
        informer.sync()
        if live or len(queue) or _is_needed(view):
            busy_at = time.monotonic()
        await asyncio.sleep(TICK_S)


def _is_needed(view: ClusterView) -> bool:
    """Whether something serves, or has not come to its end."""
    stores = (view.train_jobs, view.agent_tools, view.tool_sources)
    bodies = (store.get(key) for store in stores for key in store.identities())
    return bool(view.inference_services.identities()) or not all(
        is_settled(body) for body in bodies if body
    )


def _kept_port(folders: Folders) -> int:
    """The port of the last agent, if it is free: pods that it started still post there."""
    try:
        port = int((folders.root / PORT_FILE).read_text())
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((_ADDRESS, port))
    except (OSError, ValueError, OverflowError):
        return 0
    return port
