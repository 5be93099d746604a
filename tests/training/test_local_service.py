"""A service on this machine: answers, survives kills, takes over changes, leaves nothing."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from flagscale_runner.base import Manifest, RunnerError, Target
from flagscale_runner.local.runner import LocalRunner
from flagscale_runner.talk.answer import PATHS, parts, request_of
from support.engine_process import wait_until
from support.engines.environment import engine_python
from support.local_pods import pods_below
from support.tiny_model import tiny_gguf, tiny_model

NAME = Target("InferenceService", "default", "tiny")
SAID = [{"role": "user", "content": "The import statement"}]


def service(claim: str, **spec: Any) -> Manifest:
    model = {"volume": {"claimName": claim}, **spec.pop("model", {})}
    return {
        "apiVersion": "flagscale.dev/v1alpha1",
        "kind": "InferenceService",
        "metadata": {"name": NAME.name},
        "spec": {"model": model, "engine": {"name": "transformers", "contextLength": 128}, **spec},
    }


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[LocalRunner]:
    found = LocalRunner.of({**os.environ, "FLAGSCALE_HOME": str(tmp_path / "home")})
    found.use_folder("default", "model", tiny_model())
    found.use_folder("default", "gguf", tiny_gguf().parent)
    yield found
    for process in family(tmp_path):
        process.send_signal(signal.SIGKILL)


def family(home: Path, word: str = "") -> list[psutil.Process]:
    """Processes of this test's runner: its agent, and all pods."""
    found, pods = [], pods_below(home)
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
        if (str(home) in line or process in pods) and word in line:
            found.append(process)
    return found


def answer(runner: LocalRunner) -> str:
    body = request_of(runner.status(NAME) or {}, "chat", SAID, max_tokens=8)
    return "".join(parts(runner.ask(NAME, PATHS["chat"], body)))


def wait_for(runner: LocalRunner, holds: Callable[[dict[str, Any]], bool], what: str) -> None:
    def look() -> bool:
        return holds((runner.status(NAME) or {}).get("status") or {})

    wait_until(look, timeout_s=120, what=what)


def test_two_engines_answer_and_a_killed_one_comes_back(
    runner: LocalRunner, tmp_path: Path
) -> None:
    runner.submit(service("model", replicas=2))
    status = runner.wait(NAME, lambda _: None)["status"]
    assert (status["phase"], status["replicas"]["summary"]) == ("Ready", "2/2")
    assert status["url"].startswith("http://127.0.0.1:")
    assert answer(runner)

    pod = next(p for p in family(tmp_path, "serve.json") if p.children())
    pod.kill()
    wait_for(runner, lambda s: s["replicas"]["ready"] == 1, "the killed engine is missed")
    assert answer(runner)
    wait_for(runner, lambda s: s["phase"] == "Ready", "it is back")
    assert (runner.status(NAME) or {})["status"]["url"] == status["url"]

    runner.stop(NAME)
    assert not family(tmp_path, "serve.json")
    assert not family(tmp_path, "flagscale_workloads.inference")


def test_an_engine_argument_is_told_and_its_correction_served(runner: LocalRunner) -> None:
    runner.submit(service("gguf", model={"file": "none.gguf"}, engine={"name": "llamacpp"}))
    body = runner.wait(NAME, lambda _: None)
    assert body["status"]["phase"] == "Failed"
    assert "none.gguf" in json.dumps(body["status"]["conditions"])

    runner.use_engine("llamacpp", engine_python("llamacpp"))
    model = {"file": "model.gguf"}
    runner.submit(service("gguf", model=model, engine={"name": "llamacpp", "contextLength": 128}))
    assert runner.wait(NAME, lambda _: None)["status"]["phase"] == "Ready"
    assert answer(runner)
    runner.stop(NAME)


def test_one_that_is_not_there_is_told(runner: LocalRunner) -> None:
    with pytest.raises(RunnerError, match="is not there"):
        next(runner.ask(NAME, PATHS["chat"], {}))
