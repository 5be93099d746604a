"""Replicas by load through Kubernetes' own parts: aggregation layer, HPA, scale subresource.

The autoscaler looks every 15 s, so the steps of the one story take a minute together.
"""

import asyncio
import json
import os
import ssl
from base64 import b64decode
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from flagscale_operator.kinds.inference_service.load_report import PATH, audience
from perf.operator_process import OperatorProcess, free_ports
from support.helm import Helm
from support.inference_services import SPEC
from support.install import ray_crds
from support.kubectl import Kubectl
from support.spec_schema import merged

pytestmark = pytest.mark.usefixtures("crds")
TIMEOUT_S = 75
LIMITS = {"minReplicas": 0, "maxReplicas": 3, "targetConcurrency": 2, "scaleDownDelaySeconds": 5}
RUNNING = {
    "phase": "Running",
    "conditions": [
        {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    ],
}


@dataclass
class Load:
    """What the gateway tells each second, as the real one does."""

    requests: float = 0
    waiting: int = 0
    answered: int = 0


class Scene:
    """One namespace with an operator behind the metrics API; this plays kubelet and gateway."""

    def __init__(self, kubectl: Kubectl, namespace: str, port: int) -> None:
        self._kubectl = kubectl
        self._namespace = namespace
        self._port = port

    def get(self, *what: str) -> dict[str, Any]:
        done = self._kubectl("get", *what, "-n", self._namespace, "-o", "json")
        body: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
        return body

    def pods(self, component: str) -> list[str]:
        selector = f"-lapp.kubernetes.io/component={component}"
        return [p["metadata"]["name"] for p in self.get("pods", selector).get("items", ())]

    def run_pods(self) -> None:
        """As a kubelet: every pod is ready at once."""
        flags = ("-n", self._namespace, "--subresource=status", "--type=merge")
        for component in ("engine", "gateway"):
            for name in self.pods(component):
                self._kubectl("patch", "pod", name, *flags, "-p", json.dumps({"status": RUNNING}))

    def replicas(self) -> int:
        return int(self.get("inferenceservice", "svc")["spec"]["replicas"])

    def reason(self) -> str:
        status = self.get("inferenceservice", "svc").get("status", {})
        return str((status.get("lastScaling") or {}).get("reason", ""))

    async def until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            # In a thread: the gateway must go on telling its load.
            while not await asyncio.to_thread(reached):
                await asyncio.to_thread(self.run_pods)

    @asynccontextmanager
    async def telling(self, load: Load) -> AsyncIterator[None]:
        """Post the load with the token of the gateway's pod until the block ends."""
        (pod,) = self.pods("gateway")
        wanted = audience(self._namespace, "svc")
        bound = ("--bound-object-kind=Pod", f"--bound-object-name={pod}")
        token = self._kubectl(
            "create", "token", "default", "-n", self._namespace, f"--audience={wanted}", *bound
        ).stdout.strip()
        secret = self.get("secret", "flagscale-progress-tls")
        authority = b64decode(secret["data"]["ca.crt"]).decode()
        task = asyncio.create_task(self._post(load, token, authority))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _post(self, load: Load, token: str, authority: str) -> None:
        path = PATH.format(namespace=self._namespace, name="svc")
        url = f"https://127.0.0.1:{self._port}{path}"
        secure = ssl.create_default_context(cadata=authority)
        headers = {"Authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            while True:
                body = {"requests": load.requests, "waiting": load.waiting}
                async with session.post(url, json=body, ssl=secure) as answer:
                    load.answered += answer.status == 200
                await asyncio.sleep(1)


def register(kubectl: Kubectl, helm: Helm, namespace: str, port: int) -> None:
    """The chart's own registration, towards an operator on this machine."""
    done = helm.template("flagscale", "--show-only", "templates/metrics-api.yaml")
    (api,) = (d for d in yaml.safe_load_all(done.stdout) if d and d["kind"] == "APIService")
    api["spec"]["service"] |= {"namespace": namespace, "port": port}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": api["spec"]["service"]["name"]},
        "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]},
    }
    for manifest in (service, api):
        applied = kubectl.apply(manifest, namespace)
        assert applied.returncode == 0, applied.stderr


@pytest.fixture
async def scene(
    kubectl: Kubectl, kubeconfig: Path, namespace: str, tmp_path: Path
) -> AsyncIterator[Scene]:
    (port,) = free_ports(1)
    register(kubectl, Helm.built(tmp_path / "helm"), namespace, port)
    operator = await OperatorProcess.start(
        tmp_path / "log",
        kubeconfig,
        FLAGSCALE_NAMESPACE=namespace,
        FLAGSCALE_WATCH_NAMESPACES=namespace,
        FLAGSCALE_PROGRESS_PORT=str(port),
    )
    yield Scene(kubectl, namespace, port)
    await operator.stop()


async def test_from_one_to_three_to_one_to_none_and_back(
    kubectl: Kubectl, namespace: str, scene: Scene
) -> None:
    body = {
        "apiVersion": "flagscale.dev/v1alpha1",
        "kind": "InferenceService",
        "metadata": {"name": "svc"},
        "spec": merged(SPEC, {"autoscaling": LIMITS}),
    }
    assert kubectl.apply(body, namespace).returncode == 0
    load = Load(requests=9)
    await scene.until(lambda: len(scene.pods("gateway")) == 1)
    async with scene.telling(load):
        await scene.until(lambda: scene.replicas() == 3)
        await scene.until(lambda: scene.reason() == "LoadAboveTarget")
        load.requests = 1
        await scene.until(lambda: scene.replicas() == 1)
        await scene.until(lambda: scene.reason() == "LoadBelowTarget")
        load.requests = 0
        await scene.until(lambda: scene.replicas() == 0)
        await scene.until(lambda: scene.reason() == "Idle")
        load.requests = load.waiting = 1
        await scene.until(lambda: scene.replicas() == 1)
        await scene.until(lambda: scene.reason() == "RequestsWaiting")

    assert load.answered > 10
    assert kubectl.apply(body, namespace).returncode == 0
    assert scene.replicas() == 1


@pytest.fixture
def kuberay(kubectl: Kubectl) -> Iterator[None]:
    """The kinds of KubeRay, which itself does not run."""
    crds = ray_crds(dict(os.environ))
    for crd in crds:
        done = kubectl("apply", "--server-side", "-f", str(crd))
        assert done.returncode == 0, done.stderr
    yield
    for crd in crds:
        kubectl("delete", "-f", str(crd))


@pytest.mark.usefixtures("kuberay")
async def test_on_ray_the_same_ray_service_follows(
    kubectl: Kubectl, namespace: str, scene: Scene
) -> None:
    body = {
        "apiVersion": "flagscale.dev/v1alpha1",
        "kind": "InferenceService",
        "metadata": {"name": "svc"},
        "spec": merged(SPEC, {"runtime": "rayservice", "autoscaling": LIMITS}),
    }
    assert kubectl.apply(body, namespace).returncode == 0

    def follows(replicas: int) -> bool:
        said = scene.get("rayservice", "svc").get("spec", {}).get("serveConfigV2", "")
        return f"num_replicas: {replicas}\n" in said

    load = Load(requests=9)
    await scene.until(lambda: len(scene.pods("gateway")) == 1 and follows(1))
    uid = scene.get("rayservice", "svc")["metadata"]["uid"]
    async with scene.telling(load):
        await scene.until(lambda: scene.reason() == "LoadAboveTarget" and follows(3))
        load.requests = 1
        await scene.until(lambda: scene.reason() == "LoadBelowTarget" and follows(1))

    assert scene.get("rayservice", "svc")["metadata"]["uid"] == uid


def test_scale_works_by_hand_where_nothing_scales(kubectl: Kubectl, namespace: str) -> None:
    body = {
        "apiVersion": "flagscale.dev/v1alpha1",
        "kind": "InferenceService",
        "metadata": {"name": "svc"},
        "spec": SPEC,
    }
    assert kubectl.apply(body, namespace).returncode == 0

    done = kubectl("scale", "isvc/svc", "--replicas=2", "-n", namespace)

    assert done.returncode == 0, done.stderr
    shown = kubectl("get", "isvc", "svc", "-n", namespace, "-o", "jsonpath={.spec.replicas}")
    assert shown.stdout == "2"
