"""The tables that every runner keeps, in the cluster, and what a user sees at a terminal."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from flagscale_runner.base import Target
from flagscale_runner.cluster.runner import ClusterRunner
from support.engine_process import wait_until
from support.runner_conformance import CASES, Case, body_of, outcome, trained
from support.runner_samples import (
    TABLE,
    TRAINED,
    Sample,
    begun,
    seen_of,
)
from support.workspace import Workspace


@pytest.fixture(scope="module")
def runner(workspace: Workspace) -> Iterator[ClusterRunner]:
    with ClusterRunner.of({"KUBECONFIG": str(workspace.target.kubeconfig)}) as found:
        yield found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_job_ends_as_the_table_says(
    runner: ClusterRunner, workspace: Workspace, case: Case
) -> None:
    found = outcome(
        runner, case, image=workspace.images["trainer"], namespace=workspace.namespace,
        where="cluster",
    )  # fmt: skip
    assert found == case.wanted


def flagscale(workspace: Workspace, *words: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "KUBECONFIG": str(workspace.target.kubeconfig),
               "FLAGSCALE_ON": "cluster"}  # fmt: skip
    command = [sys.executable, "-m", "flagscale_runner", *words]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=180)


def test_a_job_is_followed_suspended_and_read_from_the_terminal(
    runner: ClusterRunner, workspace: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> None:
    long = {**CASES[0].__dict__, "name": "long", "spec": slow}
    body = body_of(Case(**long), workspace.images["trainer"], workspace.namespace)
    file = tmp_path_factory.mktemp("long") / "long.yaml"
    file.write_text(json.dumps(body))
    where = ("-n", workspace.namespace)

    assert flagscale(workspace, "run", str(file), "--detach").returncode == 0
    workspace.wait_step("long", 5)
    assert flagscale(workspace, "suspend", "long", *where).returncode == 0
    runner.wait(Target("TrainJob", workspace.namespace, "long"), lambda _: None)
    told = flagscale(workspace, "status", "long", *where, "-o", "json")
    assert json.loads(told.stdout)["status"]["phase"] == "Suspended"
    assert flagscale(workspace, "run", str(file)).returncode == 3

    assert flagscale(workspace, "resume", "long", *where).returncode == 0
    workspace.wait(
        "long", lambda s: s["phase"] == "Running" and s["attempts"][-1].get("resumedStep", 0) > 0
    )
    told = flagscale(workspace, "logs", "long", *where)
    assert "step " in told.stdout
    assert flagscale(workspace, "stop", "long", *where).returncode == 0
    assert flagscale(workspace, "status", "long", *where).returncode == 2


def slow(image: str) -> dict[str, object]:
    spec = trained(image)
    schedule = {**spec["trainer"]["schedule"], "steps": 100_000}
    output = {"path": "/data/long"}
    return {"trainer": {**spec["trainer"], "schedule": schedule, "output": output}}


HUNGRY = "x = []\nwhile True: x.append(bytearray(20_000_000))"
PROBLEMS: dict[str, tuple[dict[str, Any], str, str]] = {
    "imageless": ({"script": {"image": "127.0.0.1:9/none:1", "command": ["true"]}},
                  "ImagePull", "image's name"),
    "over-quota": ({"resources": {"limits": {"nvidia.com/gpu": "1"}}},
                   "QuotaExceeded", "kubectl describe resourcequota"),
    "hungry": ({"resources": {"limits": {"memory": "400Mi"}},
                "failurePolicy": {"restartBudgets": {"outOfMemory": 0}}},
               "OutOfMemory", "limits.memory"),
}  # fmt: skip


NO_GPU = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "no-gpu"},
          "spec": {"hard": {"requests.nvidia.com/gpu": "0"}}}  # fmt: skip


@pytest.fixture(scope="module")
def troubled(workspace: Workspace) -> None:
    workspace.apply(NO_GPU)
    for name, (spec, _, _) in PROBLEMS.items():
        workspace.submit(name, **{**workspace.script(HUNGRY), **spec})


@pytest.mark.parametrize("name", PROBLEMS)
def test_an_injected_problem_is_explained(workspace: Workspace, troubled: None, name: str) -> None:
    _, cause, step = PROBLEMS[name]
    words = ("explain", f"trainjob/{name}", "-n", workspace.namespace, "-o", "json")
    found: dict[str, Any] = {}

    def explained() -> bool:
        found.update(json.loads(flagscale(workspace, *words).stdout))
        return found["cause"] == cause

    wait_until(explained, timeout_s=120, what=f"{cause}, after {found}")
    assert (found["healthy"], step in found["step"]) == (False, True)
    workspace.kubectl("delete", "trainjob", name)
    if cause == "QuotaExceeded":
        # The namespace is shared with tests that wait for a GPU without one.
        workspace.kubectl("delete", "resourcequota", "no-gpu")


@pytest.fixture(scope="module")
def samples(matcher: None, runner: ClusterRunner, workspace: Workspace) -> None:
    begun(runner, workspace.images["trainer"], workspace.namespace, TABLE)


@pytest.mark.parametrize("sample", [TRAINED, *TABLE], ids=lambda sample: sample.name)
def test_a_sample_ends_as_the_table_says(
    runner: ClusterRunner, workspace: Workspace, samples: None, sample: Sample
) -> None:
    found, body = seen_of(runner, sample, workspace.namespace, "cluster")
    assert found == sample.wanted, body["status"]


def test_the_doctor_finds_nothing_missing(workspace: Workspace) -> None:
    told = flagscale(workspace, "doctor")
    assert told.returncode == 0, told.stdout + told.stderr
    assert "flagscale-operator, 1 ready" in told.stdout
