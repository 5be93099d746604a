"""The operator as a process against a real API server: crashes, rivals, missing kinds."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.cluster.control_plane import ControlPlane
from support.install import install_crds
from support.kubectl import Kubectl
from support.operating import items, operating
from support.train_jobs import TRAINER

pytestmark = pytest.mark.usefixtures("crds")
TIMEOUT_S = 60
Body = dict[str, Any]


def submit(kubectl: Kubectl, namespace: str, *names: str) -> None:
    for name in names:
        job = {
            "apiVersion": "flagscale.dev/v1alpha1",
            "kind": "TrainJob",
            "metadata": {"name": name},
            "spec": TRAINER,
        }
        done = kubectl.apply(job, namespace)
        assert done.returncode == 0, done.stderr


def wait(kubectl: Kubectl, namespace: str, until: Callable[[list[Body], list[Body]], bool]) -> None:
    """Until jobs and children satisfy; each look takes as long as kubectl does."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        jobs = items(kubectl, namespace, "trainjobs")
        children = items(kubectl, namespace, "pytorchjobs")
        if until(jobs, children):
            return
        assert time.monotonic() < deadline, [job.get("status") for job in jobs]


def started(jobs: list[Body], children: list[Body]) -> bool:
    """Every job has reported its first attempt."""
    reported = all(job.get("status", {}).get("attempts") for job in jobs)
    return bool(jobs) and reported and len(children) >= len(jobs)


def because(reason: str) -> Callable[[list[Body], list[Body]], bool]:
    def told(jobs: list[Body], _: list[Body]) -> bool:
        conditions = [c for job in jobs for c in job.get("status", {}).get("conditions", ())]
        return any(c["type"] == "Ready" and c["reason"] == reason for c in conditions)

    return told


async def test_a_killed_operator_comes_back_and_writes_nothing(
    kubectl: Kubectl, kubeconfig: Path, namespace: str, tmp_path: Path
) -> None:
    submit(kubectl, namespace, "a", "b", "c")
    async with operating(kubeconfig, namespace, tmp_path / "1", elect=False) as first:
        wait(kubectl, namespace, started)
        first.kill()

    async with operating(kubeconfig, namespace, tmp_path / "2", elect=False) as second:
        await second.wait_for_reconciles(3)
        assert await second.writes() == 0
    assert len(items(kubectl, namespace, "pytorchjobs")) == 3


async def test_two_operators_at_once_make_nothing_twice(
    kubectl: Kubectl, kubeconfig: Path, namespace: str, tmp_path: Path
) -> None:
    async with (
        operating(kubeconfig, namespace, tmp_path / "1", elect=False),
        operating(kubeconfig, namespace, tmp_path / "2", elect=False),
    ):
        names = [f"job-{number}" for number in range(10)]
        submit(kubectl, namespace, *names)
        wait(kubectl, namespace, started)

    children = items(kubectl, namespace, "pytorchjobs")
    assert sorted(c["metadata"]["name"] for c in children) == [f"{name}-a1" for name in names]
    jobs = items(kubectl, namespace, "trainjobs")
    assert all(len(job["status"]["attempts"]) == 1 for job in jobs)


async def test_a_stopped_leader_exits_with_zero_and_its_successor_need_not_wait(
    kubectl: Kubectl, kubeconfig: Path, namespace: str, tmp_path: Path
) -> None:
    async with operating(kubeconfig, namespace, tmp_path / "1") as first:
        assert await first.stop() == 0

    async with operating(kubeconfig, namespace, tmp_path / "2"):
        submit(kubectl, namespace, "a")
        wait(kubectl, namespace, started)


async def test_an_api_server_that_was_restarted_is_served_again(
    kubectl: Kubectl,
    kubeconfig: Path,
    control_plane: ControlPlane,
    namespace: str,
    tmp_path: Path,
) -> None:
    async with operating(kubeconfig, namespace, tmp_path / "log", elect=False):
        submit(kubectl, namespace, "before")
        wait(kubectl, namespace, started)

        control_plane.stop_apiserver()
        control_plane.start_apiserver()
        submit(kubectl, namespace, "after")

        wait(kubectl, namespace, started)
    assert len(items(kubectl, namespace, "pytorchjobs")) == 2


async def test_a_foreign_child_is_named_left_alone_and_waited_for(
    kubectl: Kubectl, kubeconfig: Path, namespace: str, tmp_path: Path
) -> None:
    container = {"name": "pytorch", "image": "someone/elses:1"}
    worker = {"replicas": 1, "template": {"spec": {"containers": [container]}}}
    foreign = {
        "apiVersion": "kubeflow.org/v1",
        "kind": "PyTorchJob",
        "metadata": {"name": "taken-a1"},
        "spec": {"pytorchReplicaSpecs": {"Worker": worker}},
    }
    assert kubectl.apply(foreign, namespace).returncode == 0

    async with operating(kubeconfig, namespace, tmp_path / "log", elect=False):
        submit(kubectl, namespace, "taken")
        wait(kubectl, namespace, because("Conflict"))
        (left,) = items(kubectl, namespace, "pytorchjobs")
        kubectl("delete", "pytorchjob", "taken-a1", "-n", namespace)
        wait(kubectl, namespace, started)

    assert "ownerReferences" not in left["metadata"]
    (ours,) = items(kubectl, namespace, "pytorchjobs")
    assert ours["metadata"]["ownerReferences"][0]["name"] == "taken"


async def test_a_missing_child_kind_is_named_and_waited_for(
    kubectl: Kubectl, kubeconfig: Path, namespace: str, tmp_path: Path
) -> None:
    async with operating(kubeconfig, namespace, tmp_path / "log", elect=False):
        kubectl("delete", "crd", "pytorchjobs.kubeflow.org")
        submit(kubectl, namespace, "early")
        try:
            wait(kubectl, namespace, because("DependencyMissing"))
            told = explanation(kubeconfig, namespace, "early")
        finally:
            install_crds(kubeconfig)
        wait(kubectl, namespace, started)
    assert len(items(kubectl, namespace, "pytorchjobs")) == 1
    assert (told["cause"], "install" in told["step"]) == ("ControllerMissing", True)
    assert "PyTorchJob" in told["evidence"]


def explanation(kubeconfig: Path, namespace: str, name: str) -> dict[str, str]:
    """What `flagscale explain` says of a TrainJob in trouble."""
    command = [sys.executable, "-m", "flagscale_runner", "explain", f"trainjob/{name}"]
    where = ["-n", namespace, "--on", "cluster", "-o", "json"]
    environ = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    done = subprocess.run(
        [*command, *where], env=environ, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1, done.stdout + done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found
