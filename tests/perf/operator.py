"""Bench of the operator on a control plane without a node, everything in one run.

    make bench BENCH=operator

(a) a bare asyncio client applies the same children; (b) the operator turns as many TrainJobs into
PyTorchJobs; (c) spec changes with all of them idle; (d) memory and CPU at idle; (e) writes at idle;
(f) a cold start over everything. The last line is one JSON object.
"""

import asyncio
import os
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from perf.api_client import ApiClient
from perf.operator_process import OperatorProcess
from perf.ranges import report
from support.cluster import control_plane
from support.install import install_crds
from support.percentiles import percentile

Figures = dict[str, float]
JOBS = int(os.environ.get("JOBS", "1000"))
IDLE_S = float(os.environ.get("IDLE_S", "300"))
CONCURRENCY = 32
CHANGES = 200
WARM_UP = 100
NAMESPACE = "bench"
BARE_NAMESPACE = "bench-bare"
CHILD_PATH = "/apis/kubeflow.org/v1/namespaces/{}/pytorchjobs"
JOB_PATH = f"/apis/flagscale.dev/v1alpha1/namespaces/{NAMESPACE}/trainjobs"


def say(text: str) -> None:
    """One line of progress."""
    print(f"[bench operator] {text}", flush=True)


def train_job(index: int) -> dict[str, Any]:
    """A small but complete TrainJob."""
    return {
        "apiVersion": "flagscale.dev/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": f"job-{index}", "namespace": NAMESPACE},
        "spec": {
            "replicas": 2,
            "trainer": {"data": {"path": "/data/corpus.txt"}, "output": {"path": "/data/out"}},
            "volumes": {"data": {"claimName": "data", "mountPath": "/data"}},
        },
    }


async def bare_apply(api: ApiClient, children: list[dict[str, Any]]) -> float:
    """Requests per second of a client that does nothing but apply the children."""
    queue, path = list(children), CHILD_PATH.format(BARE_NAMESPACE)

    async def work() -> None:
        while queue:
            child = queue.pop()
            await api.apply(f"{path}/{child['metadata']['name']}", child)

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(CONCURRENCY):
            group.create_task(work())
    return len(children) / (time.perf_counter() - started)


async def create_jobs(api: ApiClient, count: int) -> None:
    """What `kubectl apply` sends for objects that do not exist yet."""
    numbers = list(range(count))

    async def work() -> None:
        while numbers:
            await api.create(JOB_PATH, train_job(numbers.pop(0)))

    async with asyncio.TaskGroup() as group:
        for _ in range(CONCURRENCY):
            group.create_task(work())


async def wait_for_children(api: ApiClient, wanted: int) -> None:
    """Until that many PyTorchJobs exist; counted by a watch, so the waiting costs nothing."""
    seen: set[str] = set()
    async for event in api.watch(CHILD_PATH.format(NAMESPACE)):
        if event["type"] == "ADDED":
            seen.add(event["object"]["metadata"]["name"])
        if len(seen) >= wanted:
            return


async def settled(operator: OperatorProcess, *, quiet_s: float = 3.0) -> float:
    """Until the operator has written nothing for a while; when it was last seen to write."""
    before, since = await operator.writes(), time.perf_counter()
    while time.perf_counter() - since < quiet_s:
        await asyncio.sleep(0.1)
        now = await operator.writes()
        if now != before:
            before, since = now, time.perf_counter()
    return since


async def spec_changes(api: ApiClient) -> list[float]:
    """Milliseconds from a change of spec.suspend to the applied child, one change at a time."""
    applied: asyncio.Queue[tuple[str, float]] = asyncio.Queue()

    async def watch() -> None:
        async for event in api.watch(CHILD_PATH.format(NAMESPACE), only_new=True):
            body = event["object"]
            if body["spec"]["runPolicy"].get("suspend"):
                await applied.put((body["metadata"]["name"], time.perf_counter()))

    watcher = asyncio.create_task(watch())
    await asyncio.sleep(1)  # the watch's connection
    times = []
    for index in range(min(CHANGES, JOBS)):
        started = time.perf_counter()
        await api.merge_patch(f"{JOB_PATH}/job-{index}", {"spec": {"suspend": True}})
        while True:
            name, at = await asyncio.wait_for(applied.get(), 30)
            if name == f"job-{index}-a1":
                break
        times.append((at - started) * 1000)
    watcher.cancel()
    with suppress(asyncio.CancelledError):
        await watcher
    return times


async def warm_up(api: ApiClient, operator: OperatorProcess) -> None:
    """A few jobs that do not count: neither (a) nor (b) pays for the start of the API server."""
    say(f"warming up with {WARM_UP} TrainJobs")
    await create_jobs(api, WARM_UP)
    await wait_for_children(api, WARM_UP)
    await settled(operator)
    await api.delete_all(JOB_PATH)
    await api.delete_all(CHILD_PATH.format(NAMESPACE))
    await settled(operator)


async def children_rate(api: ApiClient, operator: OperatorProcess) -> Figures:
    """(b) From all TrainJobs applied until all PyTorchJobs are there; then until quiet.

    The operator is held while the TrainJobs are applied: a third of all writes would otherwise be
    the user's own, and the API server is what limits both (a) and (b).
    """
    say(f"(b) {JOBS} TrainJobs to {JOBS} PyTorchJobs")
    base = await operator.requests()
    with operator.held():
        await create_jobs(api, JOBS)
        counting = asyncio.create_task(wait_for_children(api, JOBS))
    started = time.perf_counter()
    await operator.while_it_runs(counting)
    elapsed_s = time.perf_counter() - started
    working_s = await settled(operator) - started
    requests = await operator.requests() - base
    say(f"    {elapsed_s:.1f} s, {requests:.0f} requests in {working_s:.1f} s")
    return {
        "jobs_per_s": JOBS / elapsed_s,
        "requests_per_s": requests / working_s,
        "requests_per_job": requests / JOBS,
    }


async def change_latency(api: ApiClient, operator: OperatorProcess) -> Figures:
    """(c) From a change to the applied child while all others are idle."""
    say(f"(c) {min(CHANGES, JOBS)} spec changes with {JOBS} idle")
    times = await spec_changes(api)
    await settled(operator)
    return {"apply_p50_ms": percentile(times, 50), "apply_p99_ms": percentile(times, 99)}


async def idle_cost(operator: OperatorProcess) -> Figures:
    """(d, e) What the operator uses and writes while nothing happens."""
    say(f"(d, e) idle for {IDLE_S:.0f} s")
    writes, cpu_s = await operator.writes(), operator.cpu_s()
    await asyncio.sleep(IDLE_S)
    return {
        "idle_writes": await operator.writes() - writes,
        "idle_cpu_percent": 100 * (operator.cpu_s() - cpu_s) / IDLE_S,
        "rss_mib": operator.rss_mib(),
    }


async def cold_start(log: Path, kubeconfig: Path) -> Figures:
    """(f) A new process over everything that exists, until it has looked at each."""
    say("(f) cold start")
    started = time.perf_counter()
    operator = await OperatorProcess.start(log, kubeconfig, FLAGSCALE_LEADER_ELECT="false")
    await operator.wait_for_reconciles(JOBS)
    elapsed_s = time.perf_counter() - started
    await settled(operator)
    writes = await operator.writes()
    await operator.stop()
    return {"cold_start_s": elapsed_s, "cold_start_writes": writes}


async def bare_rate(api: ApiClient) -> Figures:
    """(a) The same children by a bare client, into a namespace where none exists yet."""
    say(f"(a) a bare client applies the same {JOBS} PyTorchJobs")
    await api.create_namespace(BARE_NAMESPACE)
    children = [_bare(child) for child in await api.list(CHILD_PATH.format(NAMESPACE))]
    return {"bare_requests_per_s": await bare_apply(api, children)}


async def run(folder: Path, kubeconfig: Path) -> Figures:
    """All measurements, in order; the same operator process from (b) to (e)."""
    async with ApiClient.connect(kubeconfig) as api:
        await api.create_namespace(NAMESPACE)
        # One that is held would lose its Lease; requests for the Lease never count anyway.
        operator = await OperatorProcess.start(
            folder / "operator.log", kubeconfig, FLAGSCALE_LEADER_ELECT="false"
        )
        await warm_up(api, operator)
        figures = await children_rate(api, operator)
        figures |= await change_latency(api, operator)
        figures |= await idle_cost(operator)
        await operator.stop()
        figures |= await cold_start(folder / "restart.log", kubeconfig)
        return figures | await bare_rate(api)


def _bare(child: dict[str, Any]) -> dict[str, Any]:
    """The child as it was asked for, without what the server added."""
    metadata = {key: child["metadata"][key] for key in ("name", "labels")}
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": "PyTorchJob",
        "metadata": {**metadata, "namespace": BARE_NAMESPACE},
        "spec": child["spec"],
    }


def main() -> int:
    """Run on a control plane of its own; print the figures against their bars."""
    with tempfile.TemporaryDirectory(prefix="flagscale-bench-") as name:
        folder = Path(name)
        plane = control_plane.start(folder / "plane")
        try:
            install_crds(plane.kubeconfig)
            figures = asyncio.run(run(folder, plane.kubeconfig))
        finally:
            plane.stop()
    ratio = figures["requests_per_s"] / figures["bare_requests_per_s"]
    say(f"operator / bare client: {ratio:.2f} (bar: 0.7)")
    return report("operator", {name: round(value, 2) for name, value in figures.items()})


if __name__ == "__main__":
    sys.exit(main())
