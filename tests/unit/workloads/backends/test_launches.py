"""Golden command lines, and the semantics that engines disagree about."""

import json
from pathlib import Path

import pytest

from flagscale_workloads.backends.inference_process import ARGUMENTS
from flagscale_workloads.inference.__main__ import parser

from .conftest import Launcher


def option(command: tuple[str, ...], name: str) -> str | None:
    found = [word.partition("=")[2] for word in command if word.partition("=")[0] == name]
    assert len(found) <= 1, found
    return found[0] if found else None


def test_vllm_on_cpu_has_this_command_line(launch: Launcher) -> None:
    made = launch("vllm", contextLength=2048, maxConcurrency=4, dtype="float32", seed=7)
    assert made.command == (
        "/engine/bin/python", "-m", "vllm.entrypoints.launchers.api_server.entry",
        "--model=/models/m",
        "--served-model-name=served", "--host=127.0.0.1", "--port=8123", "--dtype=float32",
        "--max-model-len=2048", "--max-num-seqs=4", "--tensor-parallel-size=1",
        "--pipeline-parallel-size=1", "--seed=7", "--kv-cache-memory-bytes=4294967296",
        "--no-enable-log-requests", "--disable-uvicorn-access-log",
    )  # fmt: skip
    assert made.environment["HF_HUB_OFFLINE"] == "1"
    assert made.environment["VLLM_NO_USAGE_STATS"] == "1"


def test_sglang_on_cpu_has_this_command_line(launch: Launcher) -> None:
    made = launch("sglang", contextLength=2048, maxConcurrency=4, dtype="float32", seed=7)
    assert made.command == (
        "/engine/bin/python", "-m", "sglang.launch_server", "--model-path=/models/m",
        "--served-model-name=served", "--host=127.0.0.1", "--port=8123", "--device=cpu",
        "--dtype=float32", "--context-length=2048", "--max-running-requests=4", "--tp-size=1",
        "--pp-size=1", "--random-seed=7", "--max-total-tokens=32768",
        "--attention-backend=torch_native", "--sampling-backend=pytorch", "--enable-metrics",
        "--log-level-http=warning",
    )  # fmt: skip


def test_llamacpp_has_this_command_line(launch: Launcher) -> None:
    made = launch("llamacpp", contextLength=2048, maxConcurrency=1, seed=7)
    assert made.command == (
        "/engine/bin/python", "-m", "flagscale_llamacpp", "--model=/models/m",
        "--model_alias=served", "--host=127.0.0.1", "--port=8123", "--n_ctx=2048", "--seed=7",
        "--interrupt_requests=false", "--verbose=false",
    )  # fmt: skip


@pytest.mark.parametrize("loader", ["transformers", "diffusers"])
def test_our_own_server_has_this_command_line(launch: Launcher, loader: str) -> None:
    length = {"contextLength": 2048} if loader == "transformers" else {}
    made = launch(loader, maxConcurrency=4, dtype="float32", seed=7, **length)
    expected = [
        "/engine/bin/python", "-m", "flagscale_workloads.inference", f"--loader={loader}",
        "--model=/models/m", "--served-model-name=served", "--host=127.0.0.1", "--port=8123",
        "--device=cpu", "--dtype=float32", "--max-batch=4", "--context-length=2048", "--seed=7",
    ]  # fmt: skip
    assert [w for w in expected if loader == "transformers" or "context" not in w] == list(
        made.command
    )


def test_the_port_in_llamacpps_environment_is_ours(launch: Launcher) -> None:
    """Its server prefers HOST and PORT to its arguments."""
    made = launch("llamacpp")
    assert (made.environment["HOST"], made.environment["PORT"]) == ("127.0.0.1", "8123")


def test_llamacpp_takes_the_models_own_length_when_none_is_given(launch: Launcher) -> None:
    assert option(launch("llamacpp").command, "--n_ctx") == "0"


def test_a_cache_in_tokens_is_rounded_up_to_blocks_of_vllm(launch: Launcher) -> None:
    command = launch("vllm", kvCacheTokens=1000).command
    assert option(command, "--block-size") == "32"
    assert option(command, "--num-gpu-blocks-override") == "33"


@pytest.mark.parametrize(
    ("name", "variable"), [("vllm", "VLLM_CPU_KVCACHE_SPACE"), ("llamacpp", "CONFIG_FILE")]
)
def test_a_variable_that_would_overrule_the_arguments_is_not_inherited(
    launch: Launcher, name: str, variable: str
) -> None:
    parent = {variable: "40", "PATH": "/bin", "PORT": "1"}
    child = launch(name).child_environment(parent)
    assert variable not in child
    assert child["PATH"] == "/bin"


def test_a_share_of_memory_replaces_vllms_default(launch: Launcher) -> None:
    command = launch("vllm", kvCacheFraction=0.3).command
    assert option(command, "--gpu-memory-utilization") == "0.3"
    assert option(command, "--kv-cache-memory-bytes") is None


def test_sglangs_cache_holds_at_least_one_request(launch: Launcher) -> None:
    command = launch("sglang", contextLength=100_000).command
    assert option(command, "--max-total-tokens") == "100000"


def test_vllm_gets_a_draft_model_as_json(launch: Launcher) -> None:
    speculative = {"method": "draft", "draftModel": "/models/small", "tokens": 3}
    text = option(launch("vllm", speculative=speculative).command, "--speculative-config")
    assert json.loads(text or "") == {
        "method": "draft_model",
        "model": "/models/small",
        "num_speculative_tokens": 3,
    }


def test_sglang_verifies_one_token_more_than_it_drafts(launch: Launcher) -> None:
    speculative = {"method": "draft", "draftModel": "/models/small", "tokens": 3}
    command = launch("sglang", "cuda", speculative=speculative).command
    assert option(command, "--speculative-algorithm") == "STANDALONE"
    assert option(command, "--speculative-num-steps") == "3"
    assert option(command, "--speculative-num-draft-tokens") == "4"


def test_llamacpp_gets_its_limit_only_where_that_was_checked(launch: Launcher) -> None:
    bounded, plain = launch("llamacpp"), launch("llamacpp", version="0.4.0")
    overlay = Path(bounded.environment["PYTHONPATH"])
    assert (overlay / f"{bounded.command[2]}.py").exists()
    assert bounded.patches == ("llama-cpp-python 0.3.36 obeys max_tokens within characters, too",)
    assert plain.command[2] == "llama_cpp.server"
    assert plain.command[3:] == bounded.command[3:]
    assert not plain.patches
    assert "PYTHONPATH" not in plain.environment


def test_llamacpp_drafts_from_the_prompt(launch: Launcher) -> None:
    command = launch("llamacpp", speculative={"method": "ngram", "tokens": 5}).command
    assert option(command, "--draft_model") == "prompt-lookup-decoding"
    assert option(command, "--draft_model_num_pred_tokens") == "5"


@pytest.mark.parametrize("name", ["vllm", "sglang"])
def test_a_gpu_gets_no_settings_of_the_cpu(launch: Launcher, name: str) -> None:
    made = launch(name, "cuda", kvCacheFraction=0.8)
    assert not made.patches
    assert "PYTHONPATH" not in made.environment
    text = " ".join(made.command)
    for word in ("torch_native", "--max-total-tokens", "--kv-cache-memory-bytes"):
        assert word not in text


def test_extra_arguments_come_last_in_the_engines_spelling(launch: Launcher) -> None:
    extra = {"enforce_eager": True, "max-num-batched-tokens": 512, "enable-prefix-caching": False}
    command = launch("vllm", extraArgs=extra).command
    assert command[-3:] == (
        "--enforce-eager",
        "--max-num-batched-tokens=512",
        "--no-enable-prefix-caching",
    )


@pytest.mark.parametrize("loader", ["transformers", "diffusers"])
def test_our_own_server_takes_what_its_adapter_writes(launch: Launcher, loader: str) -> None:
    extra = {"max-waiting": 3, "stop-grace": 2.5}
    made = launch(loader, maxConcurrency=4, seed=7, extraArgs=extra)
    options = parser().parse_args(made.command[3:])
    assert (options.loader, options.max_batch, options.seed) == (loader, 4, 7)
    assert (options.max_waiting, options.stop_grace) == (3, 2.5)


def test_our_own_server_has_no_argument_that_nobody_sets(launch: Launcher) -> None:
    command = launch("transformers", maxConcurrency=1, contextLength=64).command
    written = {word.partition("=")[0] for word in command if word.startswith("--")}
    known = {o for a in parser()._actions for o in a.option_strings if o.startswith("--")}
    extra = {argument.options[0] for argument in ARGUMENTS.arguments.values()}
    assert known - {"--help"} == written | extra


def test_vllm_loads_the_parser_of_tool_calls_that_it_is_given(launch: Launcher) -> None:
    switch = "--enable-auto-tool-choice"
    assert switch in launch("vllm", extraArgs={"tool-call-parser": "hermes"}).command
    assert switch not in launch("vllm").command


@pytest.mark.parametrize("name", ["vllm", "sglang"])
def test_auto_is_the_models_own_type_on_a_cpu(launch: Launcher, name: str) -> None:
    assert option(launch(name, stored_dtype="float32").command, "--dtype") == "float32"
    assert option(launch(name, stored_dtype=None).command, "--dtype") == "auto"
    assert option(launch(name, "cuda", stored_dtype="float32").command, "--dtype") == "auto"
    asked = launch(name, stored_dtype="float32", dtype="bfloat16").command
    assert option(asked, "--dtype") == "bfloat16"
