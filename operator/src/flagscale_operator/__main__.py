"""`python -m flagscale_operator` runs the operator; `render FILE` prints what it would make."""

import argparse
import asyncio
import logging
import signal
import sys
import uuid
from functools import partial
from importlib.metadata import version
from pathlib import Path

import uvloop
from prometheus_client import CollectorRegistry

from flagscale_operator.controller.lease import LeaderElection, LeadershipLost
from flagscale_operator.edge.operate import Health, operate
from flagscale_operator.edge.relisting import relisting
from flagscale_operator.errors import FlagScaleError
from flagscale_operator.kube.budget import RequestBudget
from flagscale_operator.kube.connection import load_connection
from flagscale_operator.kube.http import KubeHttp
from flagscale_operator.kube.kinds import LEASE_NAME
from flagscale_operator.render import run_render
from flagscale_operator.settings import Settings, load_settings
from flagscale_operator.telemetry.http import serve_telemetry
from flagscale_operator.telemetry.logs import configure_logging
from flagscale_operator.telemetry.metrics import Metrics

_log = logging.getLogger("flagscale_operator")
FIELD_MANAGER = "flagscale/operator"


async def run_operator(settings: Settings) -> None:
    """Serve metrics and probes, become leader, work; returns after SIGTERM or SIGINT."""
    registry, health = CollectorRegistry(), Health()
    metrics = Metrics(registry, version=version("flagscale"))
    connection = load_connection()
    kube = KubeHttp.open(
        connection,
        field_manager=FIELD_MANAGER,
        budget=RequestBudget(rate_per_s=settings.api_rate, burst=settings.api_burst),
        on_request=metrics.api_request,
    )

    async def work() -> None:
        once = partial(operate, settings=settings, connection=connection, kube=kube)
        await relisting(
            partial(once, metrics=metrics, health=health), before_again=lambda: _end_on_signals(job)
        )

    election = LeaderElection(
        kube,
        namespace=settings.namespace,
        # A restarted container is a new candidate: it must not take over its own old Lease.
        identity=f"{settings.pod_name}_{uuid.uuid4().hex[:8]}",
        on_change=lambda holds: metrics.leading(LEASE_NAME, holds=holds),
    )
    job = asyncio.create_task(election.run_as_leader(work) if settings.leader_elect else work())
    _end_on_signals(job)
    try:
        async with serve_telemetry(
            registry,
            metrics_port=settings.metrics_port,
            probe_port=settings.probe_port,
            healthy=health.unhealthy,
            ready=health.unready,
        ):
            await job
    except asyncio.CancelledError:
        _log.info("stopped")
    finally:
        await kube.close()


def _end_on_signals(job: "asyncio.Task[None]") -> None:
    """Needed anew after each end of Kopf, whose own handlers nobody hears from then on."""
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, job.cancel)


def main() -> int:
    """The process's exit code: 0 after a stop, 1 when leadership or configuration is wrong."""
    parser = argparse.ArgumentParser(prog="flagscale_operator", description=__doc__)
    commands = parser.add_subparsers(dest="command")
    render = commands.add_parser("render", help="print what a file would become")
    render.add_argument("file", type=Path)
    arguments = parser.parse_args()
    try:
        settings = load_settings()
        if arguments.command == "render":
            return run_render(arguments.file, settings)
        configure_logging(settings.log_level, stream=sys.stderr)
        uvloop.run(run_operator(settings))
    except (FlagScaleError, LeadershipLost) as error:
        print(f"flagscale-operator: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
