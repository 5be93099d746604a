"""What only a cluster has, and what stands for it here: Secrets, downloads, Ray, GPUs."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from flagscale_runner.base import Manifest, RunnerError, Target
from flagscale_runner.explain.explain import explained
from flagscale_runner.local.runner import LocalRunner
from flagscale_runner.talk.answer import PATHS, parts, request_of
from support.engine_process import wait_until
from support.model_hub import BRANCH, COMMIT, ModelHub
from support.tiny_model import tiny_model

SERVICE = Target("InferenceService", "default", "served")
JOB = Target("TrainJob", "default", "script")
SAID = [{"role": "user", "content": "Hello"}]
KEYS = {"keys": [{"name": "me", "key": "a-key-of-forty-characters-for-this-test-1"}]}


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "FLAGSCALE_HOME": str(tmp_path / "home")}


@pytest.fixture
def runner(tmp_path: Path, environ: dict[str, str]) -> Iterator[LocalRunner]:
    found = LocalRunner.of(environ)
    (tmp_path / "data").mkdir()
    found.use_folder("default", "data", tmp_path / "data")
    yield found
    for target in (SERVICE, JOB):
        if found.status(target):
            found.stop(target)
    for process in psutil.process_iter(["cmdline"]):
        if str(tmp_path) in " ".join(process.info["cmdline"] or ()):
            process.kill()


def service(**spec: Any) -> Manifest:
    base = {"model": {"volume": {"claimName": "data"}}, "engine": {"name": "simulator"}}
    return {"apiVersion": "flagscale.dev/v1alpha1", "kind": "InferenceService",
            "metadata": {"name": SERVICE.name}, "spec": {**base, **spec}}  # fmt: skip


def script(code: str, **spec: Any) -> Manifest:
    program = {"image": "none/here:1", "command": ["python3", "-c", code]}
    return {"apiVersion": "flagscale.dev/v1alpha1", "kind": "TrainJob",
            "metadata": {"name": JOB.name}, "spec": {"script": program, **spec}}  # fmt: skip


def secret(folder: Path, **values: str) -> Path:
    folder.mkdir()
    for name, value in values.items():
        (folder / name.replace("_", ".")).write_text(value)
    return folder


def told(runner: LocalRunner, target: Target, reason: str) -> Manifest:
    """The resource once its Ready condition has a reason."""
    seen: list[Manifest] = []

    def look() -> bool:
        seen.append(runner.status(target) or {})
        conditions = (seen[-1].get("status") or {}).get("conditions") or ()
        return any(c["type"] == "Ready" and c["reason"] == reason for c in conditions)

    try:
        wait_until(look, timeout_s=30, what=reason)
    except AssertionError as error:
        raise AssertionError(json.dumps(seen[-1].get("status"))) from error
    return seen[-1]


def cause(runner: LocalRunner, body: Manifest, target: Target) -> str:
    return explained(body, runner.surroundings(target), where="local").cause


def ask(runner: LocalRunner) -> str:
    body = request_of(runner.status(SERVICE) or {}, "chat", SAID, max_tokens=4)
    return "".join(parts(runner.ask(SERVICE, PATHS["chat"], body)))


def test_a_secret_waits_for_its_file_and_stays_out_of_the_state(
    runner: LocalRunner, tmp_path: Path
) -> None:
    reference = {"name": "TOKEN", "secretKeyRef": {"name": "hub", "key": "token"}}
    code = "import os; assert os.environ['TOKEN'] == 'p=' + 'ssw0rd'"
    runner.submit(script(code, env=[reference]))
    waiting = told(runner, JOB, "ContainerError")
    assert cause(runner, waiting, JOB) == "SecretMissing"
    assert "--secret hub=FOLDER_OR_FILE" in json.dumps(waiting["status"]["conditions"])

    (tmp_path / "hub.env").write_text("# of the hub\ntoken=p=ssw0rd\n")
    runner.use_secret("default", "hub", tmp_path / "hub.env")
    assert runner.wait(JOB, lambda _: None)["status"]["phase"] == "Succeeded"
    kept = (p for p in (tmp_path / "home").rglob("*") if p.is_file() and not p.is_symlink())
    assert [p for p in kept if b"p=ssw0rd" in p.read_bytes()] == []


def test_a_device_that_is_not_here_is_told_as_the_scheduler_tells_it(runner: LocalRunner) -> None:
    runner.submit(script("", resources={"limits": {"nvidia.com/gpu": "1"}}))
    assert cause(runner, told(runner, JOB, "Unschedulable"), JOB) == "NoGpu"


def test_a_ray_service_with_keys_and_autoscaling_runs_as_plain_processes(
    runner: LocalRunner, environ: dict[str, str], tmp_path: Path
) -> None:
    auth = {"apiKeysSecretRef": {"name": "api-keys", "key": "keys.json"}}
    runner.submit(service(runtime="rayservice", upgradeDeadlineSeconds=60, auth=auth))
    keyless = told(runner, SERVICE, "ApiKeysUnusable")
    assert cause(runner, keyless, SERVICE) == "SecretMissing"

    folder = secret(tmp_path / "keys", keys_json=json.dumps(KEYS))
    runner.use_secret("default", "api-keys", folder)
    conditions = {c["type"]: c for c in told(runner, SERVICE, "Serving")["status"]["conditions"]}
    assert "rayservice runs as plain processes here" in conditions["Simplified"]["message"]
    with pytest.raises(RunnerError, match="401"):
        ask(runner)
    key = {"FLAGSCALE_API_KEY": KEYS["keys"][0]["key"]}
    assert ask(LocalRunner.of({**environ, **key}))


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[ModelHub]:
    (tmp_path / "repositories" / "acme").mkdir(parents=True)
    (tmp_path / "repositories" / "acme" / "tiny").symlink_to(tiny_model())
    server = ModelHub(tmp_path / "repositories").run()
    server.token = "hf-right"
    yield server
    server.shutdown()
    server.server_close()


def from_hub(hub: ModelHub) -> Manifest:
    reference = {"name": "hub", "key": "token"}
    source = {"repo": "acme/tiny", "revision": BRANCH, "endpoint": hub.url}
    model = {"huggingFace": {**source, "tokenSecretRef": reference}}
    return service(model=model, engine={"name": "transformers", "contextLength": 128})


def test_a_model_is_downloaded_once_with_the_token_of_a_secret(
    runner: LocalRunner, hub: ModelHub, tmp_path: Path
) -> None:
    folder = secret(tmp_path / "token", token="hf-wrong")
    runner.use_secret("default", "hub", folder)
    runner.submit(from_hub(hub))
    refused = told(runner, SERVICE, "ModelNotFound")
    assert cause(runner, refused, SERVICE) == "ModelNotFound"

    (folder / "token").write_text("hf-right")
    status = told(runner, SERVICE, "Serving")["status"]
    assert status["model"]["commit"] == COMMIT
    assert status["model"]["uri"] == f"hf://acme/tiny@{BRANCH}"
    assert ask(runner)

    runner.stop(SERVICE)
    large = {path for path, _, _ in hub.seen if path.endswith(".safetensors")}
    hub.seen.clear()
    runner.submit(from_hub(hub))
    told(runner, SERVICE, "Serving")
    assert large
    assert not large & {path for path, _, _ in hub.seen}


def test_what_can_not_stand_for_a_secret_is_told(runner: LocalRunner, tmp_path: Path) -> None:
    (tmp_path / "wrong.env").write_text("no value\n")
    with pytest.raises(RunnerError, match=r"--secret s: line 1 of .* is not KEY=VALUE; correct it"):
        runner.use_secret("default", "s", tmp_path / "wrong.env")
    with pytest.raises(RunnerError, match="No such file"):
        runner.use_secret("default", "s", tmp_path / "none")
