"""A trained model under Ray Serve: asked, scaled, upgraded and rolled back without loss."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from support.kube_wait import wait_for
from support.official_client import ask_officially
from support.steady_load import steady_load
from support.workspace import Status, Workspace, tiny_trainer

ASK = """
import sys, urllib.error, urllib.request
headers = {'content-type': 'application/json'}
request = urllib.request.Request(sys.argv[1], sys.argv[2].encode(), headers)
try:
    with urllib.request.urlopen(request, timeout=60) as answer:
        print(answer.read().decode())
except urllib.error.HTTPError as error:
    sys.exit(f"{error.code} {error.read().decode()}")
"""
PROMPT = {"prompt": "In the beginning", "max_tokens": 8}
FROM_JOB = {"trainJobRef": {"name": "tiny"}}


def submit(workspace: Workspace, name: str, **spec: Any) -> None:
    kind = {"apiVersion": "flagscale.dev/v1alpha1", "kind": "InferenceService"}
    workspace.apply({**kind, "metadata": {"name": name}, "spec": {"model": FROM_JOB, **spec}})


def wait(workspace: Workspace, name: str, until: Callable[[Status], bool]) -> Status:
    def status() -> Status:
        body = workspace.target.get("inferenceservice", name, "-n", workspace.namespace)
        found: Status = body.get("status", {})
        return found if found.get("observedGeneration") == body["metadata"]["generation"] else {}

    return wait_for(status, until, timeout_s=300)


def condition(status: Status, type_: str) -> tuple[str, str]:
    found = next((c for c in status.get("conditions", ()) if c["type"] == type_), {})
    return found.get("status", ""), found.get("reason", "")


def ready(status: Status) -> bool:
    return condition(status, "Ready")[0] == "True"


def serving(status: Status, replicas: int) -> bool:
    return ready(status) and status["replicas"]["ready"] == replicas


def scale(workspace: Workspace, replicas: int) -> None:
    change = json.dumps({"spec": {"replicas": replicas}})
    workspace.kubectl("patch", "isvc", "chat", "--type=merge", "-p", change)
    wait(workspace, "chat", lambda status: serving(status, replicas))


def clusters(workspace: Workspace) -> list[str]:
    selector = "flagscale.dev/inferenceservice=chat"
    return workspace.kubectl("get", "rayclusters", "-l", selector, "-o", "name").split()


def workers(workspace: Workspace) -> list[str]:
    selector = "flagscale.dev/inferenceservice=chat,app.kubernetes.io/component=engine"
    return workspace.kubectl("get", "pods", "-l", selector, "-o", "name").split()


def answers(workspace: Workspace, status: Status) -> bool:
    # Not chat: the tokenizer of a model that was trained from nothing has no chat template.
    said = workspace.python(ASK, status["url"] + "/completions", json.dumps(PROMPT))
    return bool(json.loads(said)["usage"]["completion_tokens"])


@pytest.fixture(scope="module")
def trained(workspace: Workspace) -> Status:
    workspace.submit("tiny", **tiny_trainer("/data/tiny", steps=40))
    return workspace.wait_phase("tiny", "Succeeded")


@pytest.fixture(scope="module")
def served(workspace: Workspace, trained: Status) -> Status:
    assert trained["artifact"]["uri"] == "pvc://data/tiny/model"
    submit(workspace, "chat", engine={"name": "transformers"}, upgradeDeadlineSeconds=60)
    return wait(workspace, "chat", ready)


def test_transformers_answer_through_a_ray_service(workspace: Workspace, served: Status) -> None:
    columns = workspace.kubectl("get", "inferenceservices", "chat", "-o", "wide")

    assert answers(workspace, served)
    assert served["runtime"] == "rayservice"
    assert all(word in columns for word in ("True", "transformers", "1/1", served["url"]))


def test_a_killed_worker_and_a_restarted_operator_lose_no_request(
    workspace: Workspace, served: Status
) -> None:
    operator = ("-n", "flagscale-system", "deployment/flagscale-operator")
    before = clusters(workspace)
    scale(workspace, 2)
    victim = workers(workspace)[0]
    with steady_load(workspace, served["url"]) as load:
        workspace.kubectl("delete", victim, "--grace-period=0", "--force")
        workspace.target.kubectl("rollout", "restart", *operator)
        workspace.target.kubectl("rollout", "status", *operator, "--timeout=120s")
        wait(workspace, "chat", lambda s: victim not in workers(workspace) and serving(s, 2))
    scale(workspace, 1)

    assert load.failed == []
    assert load.answered > 20
    assert clusters(workspace) == before


def test_replicas_change_in_place_and_lose_no_request(workspace: Workspace, served: Status) -> None:
    before = clusters(workspace)
    with steady_load(workspace, served["url"]) as load:
        for replicas in (2, 1):
            scale(workspace, replicas)
        left = wait_for(lambda: workers(workspace), lambda pods: len(pods) == 1, timeout_s=120)

    assert (load.failed, len(left)) == ([], 1)
    assert load.answered > 20
    assert clusters(workspace) == before


def test_a_broken_revision_takes_no_request_and_is_rolled_back(
    workspace: Workspace, served: Status
) -> None:
    before = clusters(workspace)
    with steady_load(workspace, served["url"]) as load:
        change = json.dumps({"spec": {"engine": {"extraArgs": {"nonsense": 1}}}})
        workspace.kubectl("patch", "isvc", "chat", "--type=merge", "-p", change)
        told = wait(workspace, "chat", lambda s: condition(s, "Ready")[1] == "UpgradeRolledBack")
        wait_for(lambda: clusters(workspace), lambda names: names == before, timeout_s=90)

    assert load.failed == []
    assert "extraArgs.nonsense: unknown argument" in told["rollout"]["rolledBack"]
    assert condition(told, "Available")[0] == "True"


def test_a_corrected_revision_takes_over_without_loss(workspace: Workspace, served: Status) -> None:
    before = clusters(workspace)
    with steady_load(workspace, served["url"]) as load:
        change = json.dumps({"spec": {"engine": {"extraArgs": None, "seed": 1}}})
        workspace.kubectl("patch", "isvc", "chat", "--type=merge", "-p", change)
        wait(workspace, "chat", ready)
        after = wait_for(lambda: clusters(workspace), lambda names: len(names) == 1, timeout_s=90)

    assert load.failed == []
    assert after != before


def test_vllm_answers_through_a_ray_service(workspace: Workspace, trained: Status) -> None:
    gone = ("--cascade=foreground", "--timeout=180s", "--ignore-not-found")
    workspace.kubectl("delete", "isvc", "chat", *gone)
    # Eager: compiling kernels takes two cores minutes.
    engine = {"name": "vllm", "contextLength": 128, "kvCacheTokens": 2048, "maxConcurrency": 4}
    submit(workspace, "vllm", engine={**engine, "extraArgs": {"enforce-eager": True}})

    status = wait(workspace, "vllm", ready)

    name, tokens = ask_officially(workspace, "vllm", status["url"])
    assert name == "vllm"
    assert tokens > 0
    assert status["model"]["digest"] == trained["artifact"]["digest"]


def test_sglang_answers_through_a_ray_service(workspace: Workspace, trained: Status) -> None:
    gone = ("--cascade=foreground", "--timeout=180s", "--ignore-not-found")
    workspace.kubectl("delete", "isvc", "vllm", *gone)
    engine = {"name": "sglang", "contextLength": 128, "kvCacheTokens": 2048, "maxConcurrency": 4}
    submit(workspace, "sglang", engine=engine)

    status = wait(workspace, "sglang", ready)

    assert answers(workspace, status)
    assert status["model"]["digest"] == trained["artifact"]["digest"]
