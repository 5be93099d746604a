"""The engine of a service that names none, with the operator, as its user sees it."""

import time
from pathlib import Path
from typing import Any

import pytest

from support.inference_services import SPEC
from support.kubectl import Kubectl
from support.operating import items, operating

pytestmark = pytest.mark.usefixtures("crds")
TIMEOUT_S = 60
UNNAMED = {key: value for key, value in SPEC.items() if key != "engine"}


class Service:
    """One service in a namespace of its own."""

    def __init__(self, kubectl: Kubectl, namespace: str) -> None:
        self._kubectl, self._namespace = kubectl, namespace

    def apply(self, **spec: Any) -> None:
        kind = {"apiVersion": "flagscale.dev/v1alpha1", "kind": "InferenceService"}
        body = {**kind, "metadata": {"name": "svc"}, "spec": spec}
        done = self._kubectl.apply(body, self._namespace)
        assert done.returncode == 0, done.stderr

    def row(self) -> list[str]:
        """What `kubectl get` tells, column by column."""
        return self._kubectl("get", "isvc", "svc", "-n", self._namespace).stdout.split()

    def wait_for(self, *columns: str) -> None:
        """Each look takes as long as kubectl does."""
        deadline = time.monotonic() + TIMEOUT_S
        while not set(columns) <= set(self.row()):
            assert time.monotonic() < deadline, self.row()


async def test_a_service_without_an_engine_gets_one_and_keeps_what_it_has(
    kubectl: Kubectl, kubeconfig: Path, namespace: str, tmp_path: Path
) -> None:
    service = Service(kubectl, namespace)
    async with operating(kubeconfig, namespace, tmp_path / "log", elect=False):
        service.apply(**UNNAMED)
        service.wait_for("vllm", "0/1")
        service.apply(**SPEC)
        service.wait_for("transformers", "0/1")
        service.apply(**UNNAMED, replicas=2)
        service.wait_for("transformers", "0/2")

    told = [e["message"] for e in items(kubectl, namespace, "events")]
    assert [words.partition(":")[0] for words in told if "auto" in words] == [
        "spec.engine.name auto stands for vllm"
    ]
