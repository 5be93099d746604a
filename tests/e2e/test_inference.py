"""A trained model is served: found by its TrainJob, asked through its Service, kept alive."""

import json
from typing import Any

import pytest

from support.official_client import ask_officially
from support.services import ask, complete, conditions, ready, submit, wait
from support.workspace import Status, Workspace, tiny_trainer

ENGINES = "app.kubernetes.io/component=engine,flagscale.dev/inferenceservice"
FROM_JOB = {"trainJobRef": {"name": "tiny"}}
VOLUME = {"volume": {"claimName": "data"}}
SIMULATOR = {"name": "simulator"}
LLAMACPP = {"name": "llamacpp", "quantization": "q8_0"}
ONE_GPU = {"limits": {"nvidia.com/gpu": "1"}}
NO_KEYS = {"apiKeysSecretRef": {"name": "nothing", "key": "keys"}}
SMALL = {"limits": {"memory": "400Mi"}}
GGUF = {**FROM_JOB, "file": "model-q8_0.gguf"}
# What can't be served: its spec, the reason and some words that are told.
UNSERVABLE: dict[str, tuple[dict[str, Any], str, str]] = {
    "claimless": (
        {"model": {"volume": {"claimName": "nothing"}}, "engine": SIMULATOR},
        "VolumeClaimMissing", 'persistentvolumeclaim "nothing" not found',
    ),
    "folderless": (
        {"model": {"volume": {"claimName": "data", "path": "nothing"}}, "engine": SIMULATOR},
        "ConfigError", "model.path: does not exist, got /models/data/nothing",
    ),
    "keyless": (
        {"model": VOLUME, "engine": SIMULATOR, "auth": NO_KEYS},
        "ApiKeysUnusable", "key keys of Secret nothing holds no usable API keys",
    ),
    "gpuless": (
        {"model": VOLUME, "engine": SIMULATOR, "resources": ONE_GPU},
        "Unschedulable", "Insufficient nvidia.com/gpu",
    ),
    "cuda": (
        {"model": FROM_JOB, "engine": {"name": "transformers", "device": "cuda"},
         "runtime": "pods"},
        "ConfigError", "engine.device: there is no GPU here",
    ),
    "cut": (
        {"model": {**VOLUME, "file": "cut.gguf"}, "engine": LLAMACPP},
        "EngineExited", "Failed to load model from file",
    ),
    "long": (
        {"model": GGUF, "engine": {**LLAMACPP, "contextLength": 4_000_000}, "resources": SMALL},
        "OutOfMemory", "lower spec.engine.contextLength",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def served(workspace: Workspace) -> Status:
    submit(workspace, "tiny", model=FROM_JOB, engine={"name": "transformers"}, runtime="pods")
    waiting = wait(workspace, "tiny", lambda s: bool(s.get("conditions")))
    assert not ready(waiting)
    output = {"path": "/data/tiny", "gguf": "q8_0"}
    workspace.submit("tiny", **tiny_trainer("/data/tiny", steps=40, output=output))
    return wait(workspace, "tiny", ready)


def test_a_train_jobs_model_is_served_once_it_is_there(
    workspace: Workspace, served: Status
) -> None:
    answer = ask(workspace, served)
    columns = workspace.kubectl("get", "inferenceservices", "tiny")

    assert answer["usage"]["completion_tokens"] > 0
    assert served["model"]["digest"] == workspace.status("tiny")["artifact"]["digest"]
    assert all(word in columns for word in ("True", "transformers", "1/1", served["url"]))


def test_the_official_client_is_answered_through_the_service(
    workspace: Workspace, served: Status
) -> None:
    name, tokens = ask_officially(workspace, "tiny", served["url"])

    assert name == "tiny"
    assert tokens > 0


def test_its_gguf_is_served_by_llamacpp_pods_unasked(workspace: Workspace, served: Status) -> None:
    submit(workspace, "gguf", model=GGUF, engine={"quantization": "q8_0"})

    status = wait(workspace, "gguf", ready)

    assert ask(workspace, status)["usage"]["completion_tokens"] > 0
    assert (status["engine"], status["runtime"]) == ("llamacpp", "pods")
    mine = {"revision": status["revision"], "ready": 1, "current": 1}
    assert status["replicas"]["revisions"] == [mine]
    assert status["model"]["digest"] == served["model"]["digest"]


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
    workspace.kubectl("delete", "isvc", "sglang")


@pytest.fixture(scope="module")
def unservable(workspace: Workspace, served: Status) -> None:
    code = "from pathlib import Path as P; P('/data/cut.gguf').write_bytes("
    workspace.python(f"{code}P('/data/tiny/model/model-q8_0.gguf').read_bytes()[:200_000])")
    for name, (spec, _, _) in UNSERVABLE.items():
        submit(workspace, name, **spec)


@pytest.mark.parametrize("name", UNSERVABLE)
def test_what_can_not_be_served_says_why(workspace: Workspace, unservable: None, name: str) -> None:
    _, reason, words = UNSERVABLE[name]

    status = wait(workspace, name, lambda s: conditions(s).get("Ready") == reason)

    told = next(c["message"] for c in status["conditions"] if c["type"] == "Ready")
    assert words in told
    workspace.kubectl("delete", "isvc", name)


def test_a_model_that_another_run_has_replaced_is_not_served(
    workspace: Workspace, served: Status
) -> None:
    manifest = {"digest": "sha256:other", "files": {}}
    workspace.write_file("/data/tiny/model/manifest.json", json.dumps(manifest).encode())
    workspace.kubectl("delete", "pods", "-l", f"{ENGINES}=gguf", "--wait=true")

    wrong = "ModelDigestMismatch"
    status = wait(workspace, "gguf", lambda s: conditions(s).get("Ready") == wrong)

    assert "got sha256:other" in status["model"]["lastFailure"]["message"]


def test_deleting_a_service_leaves_nothing_behind(workspace: Workspace) -> None:
    volume = {"claimName": "data", "path": "tiny/model"}
    submit(workspace, "gone", model={"volume": volume}, engine={"name": "simulator"})
    wait(workspace, "gone", ready)

    workspace.kubectl("delete", "isvc", "gone", "--cascade=foreground", "--timeout=120s")

    left = workspace.kubectl("get", "deployments,services,pods", "-l",
                             "flagscale.dev/inferenceservice=gone", "-o", "name")  # fmt: skip
    assert left.strip() == ""
