"""The load of services wired up: gateways post it, autoscalers read it, reconciles decide by it."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from aiohttp import web

from flagscale_operator.controller.view import ClusterView
from flagscale_operator.errors import ApiError
from flagscale_operator.kube.client import Kube
from flagscale_operator.progress.aggregation import FrontProxy, front_proxy, trust_ours
from flagscale_operator.progress.external_metrics import ExternalMetrics
from flagscale_operator.progress.load_board import LoadBoard
from flagscale_operator.progress.load_posts import LoadPosts
from flagscale_operator.progress.tokens import TokenChecker
from flagscale_operator.telemetry.metrics import Metrics

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ServingLoad:
    """What the progress server serves besides progress."""

    board: LoadBoard
    routes: tuple[web.RouteDef, ...]
    client_ca_pem: str | None


async def serving_load(
    kube: Kube,
    view: ClusterView,
    metrics: Metrics,
    namespace: str,
    ca_pem: str,
    on_change: Callable[[str, str], None],
    clock: Callable[[], datetime],
) -> ServingLoad:
    """The board and its routes; without an aggregation layer no autoscaler is answered."""
    board = LoadBoard(on_change=on_change, clock=asyncio.get_running_loop().time)
    posts = LoadPosts(
        board,
        TokenChecker(kube, pods=view.serving_pods),
        on_post=metrics.load_post,
        service_exists=lambda ns, name: view.inference_services.get((ns, name)) is not None,
    )
    proxy = await _front_proxy(kube, namespace=namespace, ca_pem=ca_pem)
    if proxy is None:
        return ServingLoad(board, tuple(posts.routes()), None)
    answers = ExternalMetrics(board, allowed_names=proxy.allowed_names, clock=clock)
    return ServingLoad(board, (*posts.routes(), *answers.routes()), proxy.ca_pem)


async def _front_proxy(kube: Kube, *, namespace: str, ca_pem: str) -> FrontProxy | None:
    """An operator that may not register itself still does everything else."""
    try:
        if not await trust_ours(kube, namespace=namespace, ca_pem=ca_pem):
            return None
        proxy = await front_proxy(kube)
    except ApiError as error:
        _log.warning("load metrics: not registered (%s); install the chart anew", error)
        return None
    if proxy is None:
        _log.warning("load metrics: this cluster has no aggregation layer; no replicas by load")
    return proxy
