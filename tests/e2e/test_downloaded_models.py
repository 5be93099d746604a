"""A model is downloaded from a hub in the cluster, kept on a claim, and served."""

from pathlib import Path
from typing import Any

import pytest

from support import model_hub
from support.services import ask, conditions, ready, submit, wait
from support.workspace import CLAIM, Status, Workspace, restricted_pod, tiny_trainer

PORT = 8080
REPO = "tiny/model"


@pytest.fixture(scope="module")
def endpoint(workspace: Workspace) -> str:
    """A hub whose repository tiny/model is what a TrainJob has made at that place."""
    workspace.submit("tiny", **tiny_trainer("/data/tiny", steps=20))
    workspace.wait_phase("tiny", "Succeeded")
    code = Path(model_hub.__file__).read_text()
    pod = restricted_pod(
        "hub", workspace.images["corpus"], ["python3", "-c", code, "/data", str(PORT)]
    )
    pod["metadata"]["labels"] = {"app": "hub"}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "hub"},
        "spec": {"selector": {"app": "hub"}, "ports": [{"port": PORT}]},
    }
    workspace.apply(pod)
    workspace.apply(service)
    workspace.kubectl("wait", "pod/hub", "--for=condition=Ready", "--timeout=120s")
    return f"http://hub.{workspace.namespace}.svc:{PORT}"


def from_hub(endpoint: str, repo: str = REPO, **model: Any) -> dict[str, Any]:
    source = {"repo": repo, "revision": "main", "endpoint": endpoint}
    return {"huggingFace": source, **model}


@pytest.fixture(scope="module")
def served(workspace: Workspace, endpoint: str) -> Status:
    """By pods, from a claim; by Ray Serve too, whose worker downloads to its node."""
    model = from_hub(endpoint, cache={"claimName": CLAIM})
    engine = {"name": "transformers"}
    submit(workspace, "hub-ray", model=from_hub(endpoint), engine=engine)
    submit(workspace, "hub-tiny", model=model, engine=engine, runtime="pods")
    return wait(workspace, "hub-tiny", ready)


def test_a_downloaded_model_answers_and_its_commit_is_told(
    workspace: Workspace, served: Status
) -> None:
    assert ask(workspace, served)["usage"]["completion_tokens"] > 0
    assert served["model"]["commit"] == model_hub.COMMIT
    assert served["model"]["digest"].startswith("sha256:")
    assert served["model"]["uri"] == f"hf://{REPO}@main"


def test_ray_serve_serves_a_downloaded_model(workspace: Workspace, served: Status) -> None:
    status = wait(workspace, "hub-ray", ready)

    assert ask(workspace, status)["usage"]["completion_tokens"] > 0
    assert status["runtime"] == "rayservice"
    assert status["model"]["commit"] == model_hub.COMMIT
    assert status["model"]["digest"] == served["model"]["digest"]
    workspace.kubectl("delete", "isvc", "hub-ray", "--cascade=foreground", "--timeout=180s")


def test_a_repository_that_does_not_exist_is_told(workspace: Workspace, endpoint: str) -> None:
    model = from_hub(endpoint, "tiny/none")
    submit(workspace, "none", model=model, engine={"name": "simulator"})

    status = wait(workspace, "none", lambda s: conditions(s).get("Ready") == "ModelNotFound")

    assert "correct repo" in status["model"]["lastFailure"]["message"]
    workspace.kubectl("delete", "isvc", "none")


def test_a_new_pod_serves_from_the_cache_while_the_hub_is_gone(
    workspace: Workspace, served: Status
) -> None:
    workspace.kubectl("delete", "pod", "hub", "--wait=true")
    workspace.kubectl("delete", "pods", "-l", "app.kubernetes.io/component=engine", "--wait=true")

    again = wait(workspace, "hub-tiny", ready)

    assert ask(workspace, again)["usage"]["completion_tokens"] > 0
    assert again["model"]["digest"] == served["model"]["digest"]
