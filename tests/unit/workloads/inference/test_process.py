import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from flagscale_workloads.inference.engine import InferenceEngine
from flagscale_workloads.inference.folder import Settings
from flagscale_workloads.inference.server import serve

from .conftest import NAME

ROOT = Path(__file__).parents[4]
Process = subprocess.Popen[str]


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Start the module as a process of its own, on any free port."""
    started: list[Process] = []

    def launch(folder: Path, *arguments: str) -> Process:
        sources = [str(ROOT / "workloads/src"), str(ROOT / "crds/src")]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sources), "OMP_NUM_THREADS": "1",
               "HOME": str(tmp_path)}  # fmt: skip
        command = [sys.executable, "-m", "flagscale_workloads.inference", "--loader",
                   "transformers", "--model", str(folder), "--served-model-name", NAME,
                   "--port", "0", "--device", "cpu", *arguments]  # fmt: skip
        process = subprocess.Popen(
            command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        started.append(process)
        return process

    yield launch
    for process in started:
        process.kill()
        process.communicate()


def client_of(process: Process) -> openai.OpenAI:
    assert process.stdout is not None
    url = process.stdout.readline().split()[-1]
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)


def wait_until_ready(process: Process) -> None:
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        if line == f"serving {NAME}\n":
            return
        lines.append(line)
    pytest.fail(f"the engine has ended: {''.join(lines)}")


def test_a_process_serves_and_ends_its_requests_before_itself(
    launch: Callable[..., Process], llama: Path
) -> None:
    process = launch(llama, "--dtype", "float32", "--max-batch", "4", "--seed", "3")
    with client_of(process) as client:
        wait_until_ready(process)
        assert client.get("../health", cast_to=object) == {"status": "ok"}
        about: Any = {"model": NAME, "messages": [{"role": "user", "content": "hi"}],
                      "extra_body": {"ignore_eos": True}}  # fmt: skip
        done = client.chat.completions.create(**about, max_tokens=5)
        assert done.usage is not None
        assert done.usage.completion_tokens == 5

        stream = client.chat.completions.create(**about, max_tokens=200, stream=True)
        first = next(iter(stream))
        process.send_signal(signal.SIGTERM)
        rest = list(stream)
    assert first.choices[0].delta.role == "assistant"
    assert rest[-1].choices[0].finish_reason == "length"
    assert process.wait(10) == 0


async def test_a_model_that_can_not_be_loaded_is_a_sentence_and_exit_code_1(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    engine = InferenceEngine(Settings("transformers", tmp_path, NAME))
    assert await serve(engine, listener=listener, grace_s=1) == 1
    assert "model: not a Hugging Face model" in caplog.text
    assert "Traceback" not in caplog.text


def test_wrong_arguments_are_refused_before_anything_is_imported(
    launch: Callable[..., Process], tmp_path: Path
) -> None:
    _, told = (process := launch(tmp_path, "--max-batch", "0")).communicate(timeout=60)
    assert process.returncode == 2
    assert "--max-batch: no whole number from 1, got 0" in told
