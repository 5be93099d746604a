"""Replicas by load on the real cluster, to none and back; and under load nothing is lost."""

import time
from collections.abc import Callable
from threading import Event, Thread
from typing import Any, Self

import pytest

from support.cluster_load import ClusterLoad, create_loader, lost
from support.load import Load
from support.workspace import Status, Workspace

VOLUME = {"volume": {"claimName": "data"}}
# An answer takes 1.6 s, however many there are.
SIMULATOR = {
    "name": "simulator",
    "extraArgs": {"decode_s": 0.05, "decode_s_per_sequence": 0, "prefill_s_per_token": 0},
}
LIMITS = {"minReplicas": 0, "maxReplicas": 3, "targetConcurrency": 2, "scaleDownDelaySeconds": 15}
TIMEOUT_S = 240
READ = "import urllib.request as u, sys; print(u.urlopen(sys.argv[1]).read().decode())"
ANSWERED = "flagscale_requests_total"
SMALL = {"requests": {"cpu": "50m", "memory": "64Mi"}}


class Service:
    """One InferenceService and what is seen of it."""

    def __init__(self, workspace: Workspace, name: str, **spec: Any) -> None:
        self.workspace, self.name = workspace, name
        self.apply(**spec)

    def apply(self, **spec: Any) -> None:
        metadata = {"name": self.name}
        kind = {"apiVersion": "flagscale.dev/v1alpha1", "kind": "InferenceService"}
        self.workspace.apply({**kind, "metadata": metadata, "spec": spec})

    def body(self) -> dict[str, Any]:
        return self.workspace.target.get("isvc", self.name, "-n", self.workspace.namespace)

    def until(self, reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + TIMEOUT_S
        while not reached(body := self.body()):
            assert time.monotonic() < deadline, (body.get("status"), self.pods())
        return body

    def ready(self, replicas: int = 1) -> Status:
        """All of the current generation serves, with that many pods."""

        def reached(body: dict[str, Any]) -> bool:
            status = body.get("status", {})
            current = status.get("observedGeneration") == body["metadata"]["generation"]
            condition = next((c for c in status.get("conditions", ()) if c["type"] == "Ready"), {})
            counts = status.get("replicas", {})
            served = condition.get("reason") == "Serving" and condition["status"] == "True"
            return current and served and counts.get("summary") == f"{replicas}/{replicas}"

        status: Status = self.until(reached)["status"]
        return status

    def url(self) -> str:
        return f"http://{self.name}.{self.workspace.namespace}.svc"

    def pods(self, component: str = "engine") -> list[str]:
        selector = f"flagscale.dev/inferenceservice={self.name},"
        selector += f"app.kubernetes.io/component={component}"
        names = self.workspace.kubectl("get", "pods", "-l", selector, "-o", "name")
        return [name.removeprefix("pod/") for name in names.split()]

    def answered(self) -> float:
        """Requests that the gateway has answered so far."""
        text = self.workspace.python(READ, self.url() + "/metrics")
        counts = [line for line in text.splitlines() if line.startswith(ANSWERED)]
        return sum(float(line.rpartition(" ")[2]) for line in counts if "/v1/" in line)

    def until_asked(self, before: float) -> None:
        """The driver needs some seconds to start: until it gets its first answers."""
        self.until(lambda _: self.answered() > before + 3)

    def load(self, rate_per_s: float, duration_s: float, **how: Any) -> ClusterLoad:
        base = {"model": self.name, "arrivals": "constant", "stream": False}
        return ClusterLoad(
            self.workspace, self.url(), Load(rate_per_s, duration_s, **{**base, **how})
        )


class Watching:
    """Every number of wanted pods, and of pods in the Deployment, in the order they were seen."""

    def __init__(self, service: Service) -> None:
        self.seen: list[int] = []
        self._service, self._stop = service, Event()
        self._thread = Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            wanted = self._service.body()["spec"]["replicas"]
            if not self.seen or self.seen[-1] != wanted:
                self.seen.append(wanted)


@pytest.fixture(scope="module")
def loaded(workspace: Workspace) -> Workspace:
    create_loader(workspace)
    return workspace


def test_from_one_to_three_to_one_to_none_and_back(loaded: Workspace) -> None:
    service = Service(loaded, "scaled", model=VOLUME, engine=SIMULATOR, autoscaling=LIMITS,
                      resources=SMALL)  # fmt: skip
    service.ready()
    with Watching(service) as watching:
        much = service.load(15, 45)
        service.ready(replicas=3)
        records = much.records()
        little = service.load(0.6, 60)
        service.until(lambda body: body["spec"]["replicas"] == 1)
        records += little.records()
        # A pod that is closing still answers, and nobody would be woken.
        idle = service.until(lambda body: body["status"]["phase"] == "Idle" and not service.pods())
        records += service.load(1, 3).records()
        again = service.ready()

    assert watching.seen == [1, 3, 1, 0, 1]
    assert lost(records) == []
    assert len(records) == 15 * 45 + 36 + 3
    assert idle["status"]["lastScaling"]["reason"] == "Idle"
    assert again["lastScaling"]["reason"] == "RequestsWaiting"
    ready_all_along = [c for c in idle["status"]["conditions"] if c["type"] == "Ready"]
    assert (ready_all_along[0]["status"], ready_all_along[0]["reason"]) == ("True", "ScaledToZero")


@pytest.fixture(scope="module")
def served(loaded: Workspace) -> Service:
    """Two engine pods, and another model to go over to."""
    loaded.kubectl("exec", "files", "--", "mkdir", "-p", "/data/other")
    service = Service(loaded, "steady", **steady())
    service.ready(replicas=2)
    return service


def steady(*, path: str = ".", **engine: Any) -> dict[str, Any]:
    return {
        "model": {"volume": {"claimName": "data", "path": path}},
        "engine": {**SIMULATOR, **engine},
        "replicas": 2,
        "resources": SMALL,
    }


def kill_a_pod(service: Service) -> None:
    first = service.pods()[0]
    service.workspace.kubectl("delete", "pod", first, "--grace-period=0", "--force")


def restart_the_operator(service: Service) -> None:
    operator = ("-n", "flagscale-system", "deployment/flagscale-operator")
    service.workspace.target.kubectl("rollout", "restart", *operator)
    service.workspace.target.kubectl("rollout", "status", *operator, "--timeout=120s")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(kill_a_pod, id="a pod is killed"),
        pytest.param(lambda s: s.apply(**steady(path="other")), id="another model"),
        pytest.param(lambda s: s.apply(**steady(seed=1)), id="an engine argument"),
        pytest.param(restart_the_operator, id="the operator restarts"),
    ],
)
def test_under_load_no_request_is_lost(served: Service, change: Callable[[Service], None]) -> None:
    before, answered = served.pods(), served.answered()
    load = served.load(3, 60, max_tokens=8, prompt_words=8, path="/v1/completions")
    served.until_asked(answered)
    change(served)
    served.ready(replicas=2)
    records = load.records()

    assert lost(records) == []
    assert len(records) == 180
    assert max(record.late_s for record in records) < 5
    if change is not restart_the_operator:
        assert set(served.pods()) != set(before)


def ray_clusters(service: Service) -> list[str]:
    selector = f"flagscale.dev/inferenceservice={service.name}"
    return service.workspace.kubectl("get", "rayclusters", "-l", selector, "-o", "name").split()


def test_on_ray_from_one_to_two_to_one_to_none_and_back_in_one_cluster(loaded: Workspace) -> None:
    service = Service(loaded, "on-ray", model=VOLUME, engine=SIMULATOR, runtime="rayservice",
                      autoscaling={**LIMITS, "maxReplicas": 2}, resources=SMALL,
                      podTemplate={"terminationGracePeriodSeconds": 40})  # fmt: skip
    service.ready()
    before = ray_clusters(service)
    with Watching(service) as watching:
        much = service.load(10, 25)
        service.ready(replicas=2)
        little = service.load(0.6, 40)
        service.until(lambda body: body["spec"]["replicas"] == 1)
        records = much.records() + little.records()
        service.until(lambda body: body["status"]["phase"] == "Idle")
        restart_the_operator(service)
        idle = service.until(lambda _: not service.pods())
        # Not more than one engine is there for, as a worker takes its time to come.
        records += service.load(1, 2).records()
        again = service.ready()

    assert watching.seen == [1, 2, 1, 0, 1]
    assert (lost(records), len(records)) == ([], 10 * 25 + 24 + 2)
    assert idle["status"]["lastScaling"]["reason"] == "Idle"
    assert again["lastScaling"]["reason"] == "RequestsWaiting"
    assert ray_clusters(service) == before
