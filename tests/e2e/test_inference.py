"""A trained model is served: found by its TrainJob, asked through its Service, kept alive."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from support.kube_wait import wait_for
from support.workspace import Status, Workspace, tiny_trainer

ASK = """
import sys, urllib.request
request = urllib.request.Request(sys.argv[1], sys.argv[2].encode(), {'content-type': 'text/json'})
with urllib.request.urlopen(request, timeout=60) as answer:
    print(answer.read().decode())
"""
HELLO = {"messages": [{"role": "user", "content": "In the beginning"}], "max_tokens": 8}


def submit(workspace: Workspace, name: str, **spec: Any) -> None:
    metadata = {"name": name}
    kind = {"apiVersion": "flagscale.dev/v1alpha1", "kind": "InferenceService"}
    workspace.apply({**kind, "metadata": metadata, "spec": spec})


def wait(workspace: Workspace, name: str, until: Callable[[Status], bool]) -> Status:
    def status() -> Status:
        body = workspace.target.get("inferenceservice", name, "-n", workspace.namespace)
        found: Status = body.get("status", {})
        return found

    return wait_for(status, until, timeout_s=240)


def ready(status: Status) -> bool:
    conditions = {c["type"]: c["status"] for c in status.get("conditions", ())}
    return conditions.get("Ready") == "True"


def ask(workspace: Workspace, status: Status) -> Any:
    url = status["url"] + "/chat/completions"
    return json.loads(workspace.python(ASK, url, json.dumps(HELLO)))


@pytest.fixture(scope="module")
def served(workspace: Workspace) -> Status:
    submit(workspace, "tiny", model={"trainJobRef": {"name": "tiny"}},
           engine={"name": "transformers"}, runtime="pods")  # fmt: skip
    waiting = wait(workspace, "tiny", lambda s: bool(s.get("conditions")))
    assert not ready(waiting)
    workspace.submit("tiny", **tiny_trainer("/data/tiny", steps=40))
    return wait(workspace, "tiny", ready)


def test_a_train_jobs_model_is_served_once_it_is_there(
    workspace: Workspace, served: Status
) -> None:
    answer = ask(workspace, served)
    columns = workspace.kubectl("get", "inferenceservices", "tiny")

    assert answer["usage"]["completion_tokens"] > 0
    assert served["model"]["digest"] == workspace.status("tiny")["artifact"]["digest"]
    assert all(word in columns for word in ("True", "transformers", "1/1", served["url"]))


def test_a_deleted_engine_pod_comes_back_and_answers(workspace: Workspace, served: Status) -> None:
    selector = "flagscale.dev/inferenceservice=tiny"
    workspace.kubectl("delete", "pods", "-l", selector, "--wait=true")

    again = wait(workspace, "tiny", ready)

    assert ask(workspace, again)["usage"]["completion_tokens"] > 0


def test_deleting_a_service_leaves_nothing_behind(workspace: Workspace) -> None:
    volume = {"claimName": "data", "path": "tiny/model"}
    submit(workspace, "gone", model={"volume": volume}, engine={"name": "simulator"})
    wait(workspace, "gone", ready)

    workspace.kubectl("delete", "isvc", "gone", "--cascade=foreground", "--timeout=120s")

    left = workspace.kubectl("get", "deployments,services,pods", "-l",
                             "flagscale.dev/inferenceservice=gone", "-o", "name")  # fmt: skip
    assert left.strip() == ""
