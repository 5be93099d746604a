"""A trained model is served: found by its TrainJob, asked through its Service, kept alive."""

import pytest

from support.services import ask, complete, ready, submit, wait
from support.workspace import Status, Workspace, tiny_trainer

FROM_JOB = {"trainJobRef": {"name": "tiny"}}


@pytest.fixture(scope="module")
def served(workspace: Workspace) -> Status:
    submit(workspace, "tiny", model=FROM_JOB, engine={"name": "transformers"}, runtime="pods")
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


def test_sglang_answers_from_pods(workspace: Workspace, served: Status) -> None:
    engine = {"name": "sglang", "contextLength": 128, "kvCacheTokens": 2048, "maxConcurrency": 4}
    submit(workspace, "sglang", model=FROM_JOB, engine=engine, runtime="pods")

    status = wait(workspace, "sglang", ready)

    assert complete(workspace, status)["usage"]["completion_tokens"] > 0
    assert status["model"]["digest"] == served["model"]["digest"]


def test_deleting_a_service_leaves_nothing_behind(workspace: Workspace) -> None:
    volume = {"claimName": "data", "path": "tiny/model"}
    submit(workspace, "gone", model={"volume": volume}, engine={"name": "simulator"})
    wait(workspace, "gone", ready)

    workspace.kubectl("delete", "isvc", "gone", "--cascade=foreground", "--timeout=120s")

    left = workspace.kubectl("get", "deployments,services,pods", "-l",
                             "flagscale.dev/inferenceservice=gone", "-o", "name")  # fmt: skip
    assert left.strip() == ""
