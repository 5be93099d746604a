"""Runtime rayservice against a real API server and KubeRay's own CRDs."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.inference_services import SPEC
from support.install import ray_crds
from support.kube_wait import wait_for
from support.kubectl import Kubectl
from support.operating import Body, items, operating
from support.spec_schema import merged

pytestmark = pytest.mark.usefixtures("crds")
ON_RAY = merged(SPEC, {"runtime": "rayservice"})


def apply(kubectl: Kubectl, namespace: str, spec: Body) -> "subprocess.CompletedProcess[str]":
    manifest = {
        "apiVersion": "flagscale.dev/v1alpha1",
        "kind": "InferenceService",
        "metadata": {"name": "svc"},
        "spec": spec,
    }
    return kubectl.apply(manifest, namespace)


def ready(kubectl: Kubectl, namespace: str) -> Callable[[], str]:
    def reason() -> str:
        (body,) = items(kubectl, namespace, "inferenceservices")
        conditions = body.get("status", {}).get("conditions", ())
        return next((c["reason"] for c in conditions if c["type"] == "Ready"), "")

    return reason


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"runtime": "pods"}, {"runtime": "rayservice"}),
        ({"runtime": None}, {"runtime": "pods"}),
        ({"runtime": None}, {"runtime": None, "engine": {"name": "simulator"}}),
    ],
)
def test_the_runtime_can_not_be_changed_not_even_by_another_engine(
    kubectl: Kubectl, namespace: str, before: dict[str, Any], after: dict[str, Any]
) -> None:
    specs = [{k: v for k, v in merged(SPEC, c).items() if v} for c in (before, after)]
    assert apply(kubectl, namespace, specs[0]).returncode == 0

    refused = apply(kubectl, namespace, specs[1])

    assert refused.returncode == 1
    assert "spec.runtime: can't be changed" in refused.stderr


def test_saying_the_runtime_that_it_has_is_no_change(kubectl: Kubectl, namespace: str) -> None:
    unsaid = {k: v for k, v in SPEC.items() if k != "runtime"}
    assert apply(kubectl, namespace, unsaid).returncode == 0
    assert apply(kubectl, namespace, ON_RAY).returncode == 0


async def test_kuberay_is_waited_for_and_its_schema_takes_every_field(
    kubectl: Kubectl, kubeconfig: Path, namespace: str, tmp_path: Path
) -> None:
    crds = ray_crds(dict(os.environ))
    reason = ready(kubectl, namespace)
    async with operating(kubeconfig, namespace, tmp_path / "log", elect=False):
        apply(kubectl, namespace, ON_RAY)
        wait_for(reason, lambda told: told == "DependencyMissing", timeout_s=60)
        try:
            for crd in crds:
                done = kubectl("apply", "--server-side", "-f", str(crd))
                assert done.returncode == 0, done.stderr
            wait_for(reason, lambda told: told == "Starting", timeout_s=60)
            (service,) = items(kubectl, namespace, "rayservices")
        finally:
            for crd in crds:
                kubectl("delete", "-f", str(crd))

    cluster = service["spec"]["rayClusterConfig"]
    assert cluster["authOptions"] == {"mode": "token"}
    (worker,) = cluster["workerGroupSpecs"]
    (container,) = worker["template"]["spec"]["containers"]
    assert container["lifecycle"]["preStop"]["exec"]
    assert (
        json.loads(worker["template"]["metadata"]["annotations"]["flagscale.dev/serve-config"])[
            "engine"
        ]["name"]
        == "transformers"
    )
