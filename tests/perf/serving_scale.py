"""How fast replicas follow the load, on a real cluster, and what waking up costs beside the engine.

`perf.serving` calls these with a namespace that has a claim; engines are simulated, so that what
is measured is ours and Kubernetes' own.
"""

import json
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from support.cluster_load import ClusterLoad, create_loader
from support.load import Load
from support.workspace import Workspace

TIMEOUT_S = 180
STARTUP_S = 5.0
"""What the simulated engine itself takes until it is healthy."""
LIMITS = {"maxReplicas": 3, "targetConcurrency": 2, "scaleDownDelaySeconds": 15}


def _apply(workspace: Workspace, name: str, limits: dict[str, Any], **options: float) -> None:
    engine = {"name": "simulator", "extraArgs": options}
    resources = {"requests": {"cpu": "50m", "memory": "64Mi"}}
    spec = {"model": {"volume": {"claimName": "data"}}, "engine": engine, "resources": resources}
    kind = {"apiVersion": "flagscale.dev/v1alpha1", "kind": "InferenceService"}
    body = {**kind, "metadata": {"name": name}, "spec": {**spec, "autoscaling": limits}}
    workspace.apply(body)


def _body(workspace: Workspace, name: str) -> dict[str, Any]:
    return workspace.target.get("isvc", name, "-n", workspace.namespace)


def _until(
    workspace: Workspace, name: str, reached: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    deadline = time.monotonic() + TIMEOUT_S
    while not reached(body := _body(workspace, name)):
        if time.monotonic() > deadline:
            msg = f"{name}: not reached in {TIMEOUT_S} s: {json.dumps(body.get('status'))}"
            raise TimeoutError(msg)
    return body


def _serving(body: dict[str, Any]) -> bool:
    conditions = body.get("status", {}).get("conditions", ())
    return any(c["type"] == "Ready" and c["reason"] == "Serving" for c in conditions)


def _load(workspace: Workspace, name: str, rate_per_s: float, duration_s: float) -> ClusterLoad:
    url = f"http://{name}.{workspace.namespace}.svc"
    how = Load(rate_per_s, duration_s, name, arrivals="constant", stream=False)
    return ClusterLoad(workspace, url, how)


def scale_up_decision_s(workspace: Workspace) -> float:
    """Seconds from the first of many requests until `spec.replicas` is what they need."""
    name = "decide"
    _apply(workspace, name, LIMITS, decode_s=0.05, decode_s_per_sequence=0)
    _until(workspace, name, _serving)
    load = _load(workspace, name, 10, 40)
    _until_busy(workspace, name)
    started = time.monotonic()
    _until(workspace, name, lambda body: body["spec"]["replicas"] == LIMITS["maxReplicas"])
    decided_s = time.monotonic() - started
    load.records()
    workspace.kubectl("delete", "isvc", name)
    return decided_s


def _until_busy(workspace: Workspace, name: str) -> None:
    """Until the gateway has the first request: the driver needs a second to start."""
    deadline = time.monotonic() + TIMEOUT_S
    code = "import urllib.request as u,sys; print(u.urlopen(sys.argv[1]).read().decode())"
    url = f"http://{name}.{workspace.namespace}.svc/metrics"
    while True:
        text = workspace.python(code, url)
        values = [line for line in text.splitlines() if "replica_outstanding" in line]
        if any(float(line.rpartition(" ")[2]) > 0 for line in values if not line.startswith("#")):
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{name}: no request seen in {TIMEOUT_S} s")


def scale_from_zero_overhead_s(workspace: Workspace, *, times: int = 2) -> float:
    """Median seconds of a request that woke the service, without those of its engine's start.

    The engine's start runs from its container's to the moment at which it was found healthy, of
    which the simulated engine takes `STARTUP_S`; everything else is overhead.
    """
    name = "wake"
    limits = {**LIMITS, "minReplicas": 0}
    _apply(workspace, name, limits, startup_s=STARTUP_S)
    _until(workspace, name, _serving)
    taken = []
    for _ in range(times):
        _until(workspace, name, lambda body: body["status"].get("phase") == "Idle")
        # A pod that is closing still answers, and nothing would be woken.
        selector = f"flagscale.dev/inferenceservice={name},app.kubernetes.io/component=engine"
        workspace.kubectl("wait", "pods", "-l", selector, "--for=delete", "--timeout=120s")
        (record,) = _load(workspace, name, 1, 1).records()
        if record.ending != "done":
            raise RuntimeError(f"{name}: the request that should wake it was lost: {record}")
        taken.append(record.total_s - STARTUP_S)
        _until(workspace, name, _serving)
    workspace.kubectl("delete", "isvc", name)
    return median(taken)


def measure(workspace: Workspace) -> dict[str, float]:
    """Both figures; the namespace gets a pod that drives the load."""
    create_loader(workspace)
    return {
        "scale_up_decision_s": round(scale_up_decision_s(workspace), 1),
        "scale_from_zero_overhead_s": round(scale_from_zero_overhead_s(workspace), 1),
    }
