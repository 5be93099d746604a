"""Bench of serving on a real cluster: from `kubectl apply` to an answer, and what it costs at rest.

    make bench BENCH=serving

A bare RayService of the same image (a head, one worker and a Serve application that says hello) and
InferenceServices with the simulator, in turn on the same machine, ROUNDS times each; the median of
each counts, and of each phase. Then replicas follow a load, to none and back. At last nothing
happens for IDLE_S seconds, and the operator's writes are counted.
"""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from perf import serving_scale
from perf.bare_ray_service import APPLICATION, bare_ray_service
from perf.operator_process import count_requests
from perf.ranges import report
from perf.serving_phases import PHASES, PodWatch, phases, told
from support.demo.install import INSTALLED, RELEASE_NAMESPACE, install_charts
from support.demo.target import build_images, find_target
from support.kube_wait import wait_for
from support.workspace import Workspace

Figures = dict[str, float]
ROUNDS = int(os.environ.get("ROUNDS", "3"))
IDLE_S = float(os.environ.get("IDLE_S", "60"))
LONGEST_S = 240
NAMESPACE = "bench-serving"
RUNTIMES = ("rayservice", "pods")
CONTAINER = "serve"
_ANSWERED = """
import sys, time, urllib.request
url, body = sys.argv[1], sys.argv[2].encode() or None
while True:
    request = urllib.request.Request(url, body, {'content-type': 'application/json'})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            answer.read()
            break
    except OSError:
        time.sleep(0.1)
"""
_CHAT = '{"messages": [{"role": "user", "content": "hello"}], "max_tokens": 1}'


def say(text: str) -> None:
    """One line of progress."""
    print(f"[bench serving] {text}", flush=True)


@dataclass(frozen=True)
class Stage:
    """Where the services of the bench run."""

    workspace: Workspace
    image: str

    def apply_service(self, name: str, runtime: str) -> None:
        """An InferenceService with the simulator, which loads nothing."""
        self.workspace.apply(
            {
                "apiVersion": "flagscale.dev/v1alpha1",
                "kind": "InferenceService",
                "metadata": {"name": name},
                "spec": {
                    "model": {"volume": {"claimName": "data"}},
                    "engine": {"name": "simulator"},
                    "runtime": runtime,
                },
            }
        )

    def await_answer(self, url: str, body: str = "") -> None:
        """Ask from within the cluster until there is an answer."""
        self.workspace.python(_ANSWERED, url, body)

    def await_ready(self, name: str) -> None:
        """Until the service says that it is ready, and it answers."""
        wait_for(lambda: self._ready(name), bool, timeout_s=LONGEST_S)
        self.await_answer(f"http://{name}:80/v1/chat/completions", _CHAT)

    def _ready(self, name: str) -> bool:
        path = '{.status.conditions[?(@.type=="Ready")].status}'
        return self.workspace.kubectl("get", "isvc", name, "-o", f"jsonpath={path}") == "True"

    def delete(self, kind: str, name: str) -> None:
        """Remove a service with all its pods, so that the next one has the machine."""
        self.workspace.kubectl("delete", kind, name, "--cascade=foreground", "--timeout=180s")
        selector = "app.kubernetes.io/component,!flagscale.dev/trainjob"
        self.workspace.kubectl("wait", "pods", "-l", selector, "--for=delete", "--timeout=120s")
        self.workspace.kubectl("wait", "pods", "-l", "ray.io/cluster", "--for=delete",
                               "--timeout=120s")  # fmt: skip


def bare_s(stage: Stage) -> float:
    """Apply to the first answer of a RayService without us."""
    stage.workspace.apply(APPLICATION)
    started = time.monotonic()
    stage.workspace.apply(bare_ray_service("bare", stage.image))
    stage.await_answer("http://bare-serve-svc:8000/")
    took_s = time.monotonic() - started
    stage.delete("rayservice", "bare")
    return took_s


def service_phases(stage: Stage, runtime: str) -> dict[str, float]:
    """Apply to Ready and an answer of an InferenceService, by phase."""
    with PodWatch(stage.workspace, runtime, CONTAINER) as watch:
        watch.applied()
        stage.apply_service(runtime, runtime)
        stage.await_ready(runtime)
        answered = time.time()
    log = stage.workspace.kubectl("logs", watch.pod, "-c", CONTAINER, "--timestamps")
    stage.delete("isvc", runtime)
    return phases(watch.marks, log, answered=answered)


def ready_figures(stage: Stage) -> Figures:
    """Start-up times, in turn so that what the machine does besides hits all alike."""
    bare: list[float] = []
    took: dict[str, list[dict[str, float]]] = {runtime: [] for runtime in RUNTIMES}
    for turn in range(1, ROUNDS + 1):
        bare.append(bare_s(stage))
        say(f"{turn} of {ROUNDS}: bare RayService {bare[-1]:.1f}")
        for runtime, found in took.items():
            found.append(service_phases(stage, runtime))
            say(f"{turn} of {ROUNDS}: {runtime} {sum(found[-1].values()):.1f}: {told(found[-1])}")
    figures = {"kuberay_bare_ready_s": round(median(bare), 1)}
    for runtime, found in took.items():
        figures[f"{runtime}_ready_s"] = round(median(sum(f.values()) for f in found), 1)
        for phase in PHASES:
            figures[f"{runtime}_{phase}_s"] = round(median(f[phase] for f in found), 1)
    over = figures["rayservice_ready_s"] - figures["kuberay_bare_ready_s"]
    return {**figures, "over_bare_s": round(over, 1)}


def idle_figures(stage: Stage) -> Figures:
    """The operator's writes while two services, one of each runtime, only serve."""
    for runtime in RUNTIMES:
        stage.apply_service(runtime, runtime)
    for runtime in RUNTIMES:
        stage.await_ready(runtime)
    before = _writes(stage)
    time.sleep(IDLE_S)
    return {"idle_writes": _writes(stage) - before}


def _writes(stage: Stage) -> float:
    target = stage.workspace.target
    selector = "app.kubernetes.io/name=flagscale"
    found = target.get("pods", "-n", RELEASE_NAMESPACE, "-l", selector)["items"]
    (pod,) = [p["metadata"]["name"] for p in found if "deletionTimestamp" not in p["metadata"]]
    path = f"/api/v1/namespaces/{RELEASE_NAMESPACE}/pods/{pod}:8080/proxy/metrics"
    return count_requests(target.kubectl("get", "--raw", path).stdout, reads=False)


def scale_figures(stage: Stage) -> Figures:
    """How fast replicas follow the load."""
    return serving_scale.measure(stage.workspace)


PARTS: tuple[Callable[[Stage], Figures], ...] = (ready_figures, scale_figures, idle_figures)
"""Each measures on the same cluster and gives figures of its own."""


def main() -> int:
    """The exit code: 1 when a figure is out of its range."""
    target = find_target()
    images = build_images(*INSTALLED, "corpus")
    install_charts(target, images)
    stage = Stage(Workspace(target, NAMESPACE, images), images["serving"])
    stage.workspace.create()
    figures: Figures = {}
    try:
        for part in PARTS:
            figures.update(part(stage))
    finally:
        stage.workspace.delete(wait=True)
    return report("serving", figures)


if __name__ == "__main__":
    sys.exit(main())
