import re
from typing import Any

import pytest

from flagscale_workloads.backends.arguments import parse_table, read_table
from flagscale_workloads.backends.errors import EngineConfigError
from flagscale_workloads.backends.extra import check_extra, extra_arguments
from flagscale_workloads.backends.registry import adapter_of

TABLE = parse_table(
    {
        "engine": "toy",
        "version": "1",
        "arguments": {
            "length": {"options": ["--length", "--len"], "type": "int"},
            "share": {"options": ["--share"], "type": "float"},
            "quick": {"options": ["--quick"], "type": "flag"},
            "cache_it": {"options": ["--cache-it"], "type": "toggle"},
            "use_map": {"options": ["--use_map"], "type": "bool"},
            "mode": {"options": ["--mode"], "type": "str", "choices": ["a", "b"]},
            "sizes": {"options": ["--sizes"], "type": "int", "many": True},
            "about": {"options": ["--about"], "type": "json"},
            "port": {"options": ["--port"], "type": "int"},
        },
    }
)
RESERVED = {"length": "use engine.contextLength", "port": "remove it"}


def check(**extra: Any) -> None:
    check_extra(extra, table=TABLE, reserved=RESERVED)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("share", 1, ("--share=1",)),
        ("quick", True, ("--quick",)),
        ("quick", False, ()),
        ("cache_it", False, ("--no-cache-it",)),
        ("cache-it", True, ("--cache-it",)),
        ("use-map", True, ("--use_map=true",)),
        ("use_map", False, ("--use_map=false",)),
        ("mode", "a", ("--mode=a",)),
        ("sizes", "1 2", ("--sizes", "1", "2")),
        ("about", '{"a": 1}', ('--about={"a": 1}',)),
    ],
)
def test_a_value_is_written_as_its_engine_reads_it(key: str, value: Any, words: Any) -> None:
    check(**{key: value})
    assert extra_arguments({key: value}, table=TABLE) == words


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("lenght", 1, "engine.extraArgs.lenght: unknown argument, got lenght; did you mean length"),
        ("qqq", 1, "see the arguments of toy 1"),
        ("len", 9, "engine.extraArgs.len: set elsewhere, got 9; use engine.contextLength"),
        ("port", 1, "remove it"),
        ("share", "much", "wrong type, got much; write a number"),
        ("share", True, "write a number"),
        ("quick", "yes", "write true or false"),
        ("cache-it", 1, "write true or false"),
        ("no-cache-it", True, "unknown argument"),
        ("mode", "c", "not a choice of the engine, got c; take one of a, b"),
        ("about", "{", "write JSON"),
        ("mode", True, "write text"),
    ],
)
def test_a_wrong_argument_is_refused_with_what_to_do(key: str, value: Any, said: str) -> None:
    with pytest.raises(EngineConfigError, match=re.escape(said)):
        check(**{key: value})


def test_one_argument_by_two_spellings_is_refused() -> None:
    with pytest.raises(EngineConfigError, match="the same argument as cache_it"):
        check_extra({"cache_it": True, "cache-it": False}, table=TABLE, reserved={})


@pytest.mark.parametrize("name", ["vllm", "sglang", "llamacpp"])
def test_what_is_reserved_exists_in_the_engines_parser(name: Any) -> None:
    adapter = adapter_of(name)
    reserved = {*adapter.reserved, *getattr(adapter, "cpu_reserved", ())}
    assert reserved <= set(read_table(name).arguments) | {"model_tag"}


@pytest.mark.parametrize(
    ("name", "key", "said"),
    [
        ("vllm", "max-model-len", "use engine.contextLength"),
        ("vllm", "gpu_memory_utilization", "use engine.kvCacheFraction"),
        ("vllm", "tensor-parallel-size", "use engine.tensorParallel"),
        ("sglang", "tensor-parallel-size", "use engine.tensorParallel"),
        ("sglang", "context-length", "use engine.contextLength"),
        ("llamacpp", "n_ctx", "use engine.contextLength"),
        ("llamacpp", "n-ctx", "use engine.contextLength"),
    ],
)
def test_a_neutral_field_by_the_engines_own_name_is_refused(name: Any, key: str, said: str) -> None:
    adapter = adapter_of(name)
    with pytest.raises(EngineConfigError, match=said):
        check_extra({key: 1}, table=adapter.arguments, reserved=adapter.reserved)


def test_the_words_of_another_engine_are_unknown() -> None:
    """A vocabulary passed through unchanged kills the process with an error of its parser."""
    adapter = adapter_of("llamacpp")
    with pytest.raises(EngineConfigError, match="unknown argument"):
        check_extra({"gpu-memory-utilization": 1}, table=adapter.arguments, reserved={})
