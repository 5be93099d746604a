"""The operator against a real API server: what becomes of InferenceServices, and what does not."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from flagscale_api import keys
from support.inference_services import SPEC
from support.install import ROOT
from support.kubectl import Kubectl
from support.operating import Body, items, operating
from support.spec_schema import merged
from support.train_jobs import TRAINER

pytestmark = pytest.mark.usefixtures("crds")
TIMEOUT_S = 60
SAMPLES = ("full", "huggingface")
ON_PODS = {"runtime": "pods", "upgradeDeadlineSeconds": None}
"""This control plane has no KubeRay; pods of Ray are admitted in the end-to-end tests."""
CHILDREN = ("deployments", "services", "poddisruptionbudgets")


def submit(kubectl: Kubectl, namespace: str, spec: Body, kind: str = "InferenceService") -> None:
    name = "job" if kind == "TrainJob" else "svc"
    manifest = {
        "apiVersion": "flagscale.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": spec,
    }
    done = kubectl.apply(manifest, namespace)
    assert done.returncode == 0, done.stderr


def wait(until: Callable[[], bool], told: Callable[[], Any]) -> None:
    """Each look takes as long as kubectl does."""
    deadline = time.monotonic() + TIMEOUT_S
    while not until():
        assert time.monotonic() < deadline, told()


class Cluster:
    """One namespace: the controllers of Kubernetes run, and this plays the kubelet."""

    def __init__(self, kubectl: Kubectl, namespace: str) -> None:
        self._kubectl = kubectl
        self.namespace = namespace

    def children(self) -> list[str]:
        return sorted(
            f"{body['kind']}/{body['metadata']['name']}"
            for plural in CHILDREN
            for body in items(self._kubectl, self.namespace, plural)
        )

    def get(self, plural: str, name: str) -> Body:
        done = self._kubectl("get", plural, name, "-n", self.namespace, "-o", "json")
        body: Body = json.loads(done.stdout) if done.returncode == 0 else {}
        return body

    def status(self) -> Body:
        found: Body = self.get("inferenceservices", "svc").get("status", {})
        return found

    def ready(self) -> str:
        conditions = self.status().get("conditions", ())
        return next((c["reason"] for c in conditions if c["type"] == "Ready"), "")

    def wait_for(self, reason: str) -> None:
        wait(lambda: self.ready() == reason, self.status)

    def patch_status(self, plural: str, name: str, status: Body) -> None:
        flags = ("-n", self.namespace, "--subresource=status", "--type=merge")
        patch = json.dumps({"status": status})
        done = self._kubectl("patch", plural, name, *flags, "-p", patch)
        assert done.returncode == 0, done.stderr

    def pods(self, component: str) -> list[str]:
        """The pods that the Deployment's controller has made."""
        return [
            pod["metadata"]["name"]
            for pod in items(self._kubectl, self.namespace, "pods")
            if pod["metadata"]["labels"][keys.COMPONENT_LABEL] == component
        ]

    def run_pods(self, component: str, status: Body) -> None:
        """As a kubelet: every pod of a component gets a status."""
        wait(lambda: bool(self.pods(component)), self.status)
        for name in self.pods(component):
            self.patch_status("pods", name, status)


def pod_status(*, ready: bool, **container: Any) -> Body:
    now = "2026-01-01T00:00:00Z"
    running = {"running": {"startedAt": now}}
    status = {
        "name": "serve",
        "image": "i",
        "imageID": "i",
        "restartCount": 0,
        "ready": ready,
        "state": container.get("state", running),
        "lastState": container.get("lastState", {}),
    }
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": now}
    return {"phase": "Running", "conditions": [condition], "containerStatuses": [status]}


@pytest.fixture
def cluster(kubectl: Kubectl, namespace: str) -> Cluster:
    return Cluster(kubectl, namespace)


async def test_children_appear_get_ready_and_a_restart_writes_nothing(
    kubectl: Kubectl, kubeconfig: Path, cluster: Cluster, tmp_path: Path
) -> None:
    async with operating(kubeconfig, cluster.namespace, tmp_path / "1", elect=False) as first:
        submit(kubectl, cluster.namespace, SPEC)
        cluster.wait_for("Starting")
        for component in ("engine", "gateway"):
            cluster.run_pods(component, pod_status(ready=True))
        cluster.wait_for("Serving")
        first.kill()
    status = cluster.status()

    async with operating(kubeconfig, cluster.namespace, tmp_path / "2", elect=False) as second:
        await second.wait_for_reconciles(1)
        assert await second.writes() == 0
    assert cluster.children() == [
        "Deployment/svc-engine",
        "Deployment/svc-gateway",
        "Service/svc",
        "Service/svc-engines",
        "Service/svc-pending",
    ]
    assert (status["phase"], status["replicas"]["summary"]) == ("Ready", "1/1")
    assert status["url"] == f"http://svc.{cluster.namespace}.svc:80/v1"
    assert cluster.status() == status


async def test_an_engine_that_ends_is_told_with_its_last_words(
    kubectl: Kubectl, kubeconfig: Path, cluster: Cluster, tmp_path: Path
) -> None:
    words = "serve: model.path: does not exist, got /models/models/tiny/model; correct it"
    ended = {"exitCode": 1, "reason": "Error", "message": words}
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}
    crashed = pod_status(ready=False, state=waiting, lastState={"terminated": ended})

    async with operating(kubeconfig, cluster.namespace, tmp_path / "log", elect=False):
        submit(kubectl, cluster.namespace, SPEC)
        cluster.wait_for("Starting")
        cluster.run_pods("engine", crashed)
        cluster.wait_for("ConfigError")

    model = cluster.status()["model"]
    assert model["state"] == "FailedToLoad"
    assert model["lastFailure"]["exitCode"] == 1
    assert "/models/models/tiny/model" in model["lastFailure"]["message"]


async def test_a_model_that_is_not_there_is_told_with_what_to_do(
    kubectl: Kubectl, kubeconfig: Path, cluster: Cluster, tmp_path: Path
) -> None:
    source = {"volume": None, "huggingFace": {"repo": "acme/none", "revision": "main"}}
    words = "spec.model.huggingFace acme/none@main: does not exist; correct repo"
    told = json.dumps({"reason": "ModelNotFound", "message": words})
    ended = {"exitCode": 1, "reason": "Error", "message": told}
    waiting = {"waiting": {"reason": "PodInitializing"}}
    status = pod_status(ready=False, state=waiting)
    (engine,) = status["containerStatuses"]
    crashed = {"waiting": {"reason": "CrashLoopBackOff"}}
    download = {"name": "download", "state": crashed, "lastState": {"terminated": ended}}
    status["initContainerStatuses"] = [{**engine, **download}]

    async with operating(kubeconfig, cluster.namespace, tmp_path / "log", elect=False):
        submit(kubectl, cluster.namespace, merged(SPEC, {"model": source}))
        cluster.wait_for("Starting")
        cluster.run_pods("engine", status)
        cluster.wait_for("ModelNotFound")

    assert cluster.status()["model"]["lastFailure"]["message"] == words
    assert cluster.status()["phase"] == "Failed"


async def test_a_foreign_child_is_named_left_alone_and_waited_for(
    kubectl: Kubectl, kubeconfig: Path, cluster: Cluster, tmp_path: Path
) -> None:
    spec = {"selector": {"app": "other"}, "ports": [{"port": 80}]}
    foreign = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "svc"}, "spec": spec}
    assert kubectl.apply(foreign, cluster.namespace).returncode == 0

    async with operating(kubeconfig, cluster.namespace, tmp_path / "log", elect=False):
        submit(kubectl, cluster.namespace, SPEC)
        cluster.wait_for("Conflict")
        left = cluster.get("services", "svc")
        kubectl("delete", "service", "svc", "-n", cluster.namespace)
        cluster.wait_for("Starting")

    assert "ownerReferences" not in left["metadata"]
    assert left["spec"]["selector"] == {"app": "other"}
    ours = cluster.get("services", "svc")
    assert ours["metadata"]["ownerReferences"][0]["kind"] == "InferenceService"


async def test_a_service_waits_for_its_train_job_and_outlives_it(
    kubectl: Kubectl, kubeconfig: Path, cluster: Cluster, tmp_path: Path
) -> None:
    source = {"model": {"volume": None, "trainJobRef": {"name": "job"}}}
    artifact = {
        "uri": "pvc://claim/out/model",
        "format": "huggingface",
        "digest": "sha256:1",
        "sizeBytes": 1,
    }
    done = {"phase": "Succeeded", "completionTime": "2026-01-01T00:00:00Z", "artifact": artifact}

    async with operating(kubeconfig, cluster.namespace, tmp_path / "log", elect=False):
        submit(kubectl, cluster.namespace, merged(SPEC, source))
        cluster.wait_for("TrainJobNotFound")
        assert cluster.children() == []
        submit(kubectl, cluster.namespace, TRAINER, "TrainJob")
        cluster.wait_for("TrainJobNotReady")
        cluster.patch_status("trainjobs", "job", done)
        cluster.wait_for("Starting")
        kubectl("delete", "trainjob", "job", "-n", cluster.namespace)
        submit(kubectl, cluster.namespace, merged(SPEC, {**source, "replicas": 2}))
        budget = "PodDisruptionBudget/svc-engine"
        wait(lambda: budget in cluster.children(), cluster.status)

    template = cluster.get("deployments", "svc-engine")["spec"]["template"]
    assert template["metadata"]["annotations"][keys.MODEL_DIGEST_ANNOTATION] == "sha256:1"
    assert cluster.status()["model"]["uri"] == "pvc://claim/out/model"
    assert cluster.ready() == "Starting"


async def test_what_a_spec_no_longer_says_is_taken_away(
    kubectl: Kubectl, kubeconfig: Path, cluster: Cluster, tmp_path: Path
) -> None:
    def selector() -> Any:
        return cluster.get("deployments", "svc-engine")["spec"]["template"]["spec"].get(
            "nodeSelector"
        )

    placed = {"podTemplate": {"nodeSelector": {"gpu": "a100"}}, "replicas": 2}
    async with operating(kubeconfig, cluster.namespace, tmp_path / "log", elect=False):
        submit(kubectl, cluster.namespace, merged(SPEC, placed))
        cluster.wait_for("Starting")
        assert selector() == {"gpu": "a100"}
        submit(kubectl, cluster.namespace, SPEC)
        wait(lambda: selector() is None, cluster.status)
        budget = "PodDisruptionBudget/svc-engine"
        wait(lambda: budget not in cluster.children(), cluster.status)


async def test_what_was_scaled_by_hand_is_put_right(
    kubectl: Kubectl, kubeconfig: Path, cluster: Cluster, tmp_path: Path
) -> None:
    async with operating(kubeconfig, cluster.namespace, tmp_path / "log", elect=False):
        submit(kubectl, cluster.namespace, SPEC)
        cluster.wait_for("Starting")
        kubectl("scale", "deployment/svc-engine", "--replicas=3", "-n", cluster.namespace)
        replicas = lambda: cluster.get("deployments", "svc-engine")["spec"]["replicas"]  # noqa: E731
        wait(lambda: replicas() == 1, cluster.status)


async def test_pod_security_restricted_admits_what_every_sample_becomes(
    kubectl: Kubectl, kubeconfig: Path, cluster: Cluster, tmp_path: Path
) -> None:
    label = "pod-security.kubernetes.io/warn=restricted"
    kubectl("label", "namespace", cluster.namespace, label)
    paths = [ROOT / "crds/samples" / f"inferenceservice-{name}.yaml" for name in SAMPLES]
    samples = [merged(yaml.safe_load(p.read_text()), {"spec": ON_PODS}) for p in paths]

    async with operating(kubeconfig, cluster.namespace, tmp_path / "log", elect=False):
        for sample in samples:
            assert kubectl.apply(sample, cluster.namespace).returncode == 0
        # Two services of two Deployments and three Services; one has a disruption budget.
        wait(lambda: len(cluster.children()) == 2 * 5 + 1, cluster.children)

    for component in ("full-engine", "full-gateway", "hub-model-engine"):
        body = cluster.get("deployments", component)
        again = {k: body[k] for k in ("apiVersion", "kind", "spec")}
        again["metadata"] = {"name": f"copy-{component}"}
        done = kubectl.apply(again, cluster.namespace, "--dry-run=server")
        assert (done.returncode, done.stderr) == (0, "")
