"""Bench of serving on a real cluster: from `kubectl apply` to an answer, and what it costs at rest.

    make bench BENCH=serving

A bare RayService of the same image (a head, one worker and a Serve application that says hello) and
InferenceServices with the simulator, in turn on the same machine, ROUNDS times each; the median of
each counts. Then nothing happens for IDLE_S seconds, and the operator's writes are counted.
"""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

from perf.bare_ray_service import APPLICATION, bare_ray_service
from perf.operator_process import count_requests
from perf.ranges import report
from support.demo.install import RELEASE_NAMESPACE, install_charts
from support.demo.target import build_images, find_target
from support.kube_wait import wait_for
from support.workspace import Workspace

Figures = dict[str, float]
ROUNDS = int(os.environ.get("ROUNDS", "3"))
IDLE_S = float(os.environ.get("IDLE_S", "60"))
LONGEST_S = 240
NAMESPACE = "bench-serving"
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


def service_s(stage: Stage, runtime: str) -> float:
    """Apply to Ready and an answer of an InferenceService."""
    started = time.monotonic()
    stage.apply_service(runtime, runtime)
    stage.await_ready(runtime)
    took_s = time.monotonic() - started
    stage.delete("isvc", runtime)
    return took_s


def ready_figures(stage: Stage) -> Figures:
    """Start-up times, in turn so that what the machine does besides hits all alike."""
    ways: dict[str, Callable[[], float]] = {
        "kuberay_bare_ready_s": lambda: bare_s(stage),
        "rayservice_ready_s": lambda: service_s(stage, "rayservice"),
        "pods_ready_s": lambda: service_s(stage, "pods"),
    }
    took: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(ROUNDS):
        for name, measure in ways.items():
            took[name].append(measure())
            say(f"{turn + 1} of {ROUNDS}: {name} {took[name][-1]:.1f}")
    figures = {name: round(median(times), 1) for name, times in took.items()}
    over = figures["rayservice_ready_s"] - figures["kuberay_bare_ready_s"]
    return {**figures, "over_bare_s": round(over, 1)}


def idle_figures(stage: Stage) -> Figures:
    """The operator's writes while two services, one of each runtime, only serve."""
    for runtime in ("rayservice", "pods"):
        stage.apply_service(runtime, runtime)
    for runtime in ("rayservice", "pods"):
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


PARTS: tuple[Callable[[Stage], dict[str, Any]], ...] = (ready_figures, idle_figures)
"""Each measures on the same cluster and gives figures of its own."""


def main() -> int:
    """The exit code: 1 when a figure is out of its range."""
    target = find_target()
    images = build_images("operator", "trainer", "serving", "llamacpp", "matcher", "corpus")
    install_charts(target, images)
    stage = Stage(Workspace(target, NAMESPACE, images), images["serving"])
    stage.workspace.create()
    figures: Figures = {}
    try:
        for part in PARTS:
            figures.update(part(stage))
    finally:
        stage.workspace.delete()
    return report("serving", figures)


if __name__ == "__main__":
    sys.exit(main())
