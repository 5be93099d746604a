"""llama.cpp ends an answer at `max_tokens` even where the model never ends a character.

A model may well write so after a word that it has never seen: the one that readiness asks.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from flagscale_workloads.backends.adapter import Placement
from flagscale_workloads.backends.registry import adapter_of
from flagscale_workloads.serve.first_token import smallest_request
from support.engine_process import EngineProcess, free_port, start_engine
from support.engines import engine_python
from support.unfinished_model import CONTEXT_TOKENS, write_unfinished_model

from .conftest import SERVED, spec_of

ADAPTER = adapter_of("llamacpp")
ROOM = CONTEXT_TOKENS - 1


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    folder, port = tmp_path_factory.mktemp("unfinished"), free_port()
    spec = spec_of("llamacpp", contextLength=None, quantization="q8_0")
    model = write_unfinished_model(folder)
    launch = ADAPTER.launch(spec, Placement(model, SERVED, port, "cpu", engine_python("llamacpp")))
    process = start_engine(launch, url=f"http://127.0.0.1:{port}", log=folder / "log")
    try:
        process.wait_for_answer(*asked_for_readiness(), timeout_s=60)
        yield process
    finally:
        process.kill()


def asked_for_readiness() -> tuple[str, bytes]:
    return smallest_request(SERVED, ADAPTER.capabilities)


def complete(engine: EngineProcess, **fields: Any) -> dict[str, Any]:
    body = {"prompt": "1", "temperature": 0, **fields}
    answer: dict[str, Any] = json.loads(engine.post("/v1/completions", body))
    return answer


def test_it_gets_ready(engine: EngineProcess) -> None:
    path, body = asked_for_readiness()

    answer = json.loads(engine.post(path, json.loads(body)))

    assert answer["usage"]["completion_tokens"] == 1


@pytest.mark.parametrize(
    ("asked", "written"), [(1, 1), (7, 7), (0, ROOM), (2 * CONTEXT_TOKENS, ROOM)]
)
def test_the_limit_holds_within_a_character(
    engine: EngineProcess, asked: int, written: int
) -> None:
    answer = complete(engine, max_tokens=asked)

    assert answer["usage"]["completion_tokens"] == written
    assert answer["choices"][0]["finish_reason"] == "length"


def test_a_stream_ends_there_too(engine: EngineProcess) -> None:
    body = {"prompt": "1", "temperature": 0, "max_tokens": 7, "stream": True}

    *_, last, done, _ = engine.post("/v1/completions", body).decode().split("\n\n")

    assert done.endswith("[DONE]")
    choice = json.loads(last.partition("data: ")[2])["choices"][0]
    assert choice["finish_reason"] == "length"
