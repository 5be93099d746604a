"""What an engine can't honour is refused by name, never ignored."""

import re
from typing import Any

import pytest

from flagscale_api.v1alpha1.engine import EngineSpec
from flagscale_workloads.backends.adapter import Feature
from flagscale_workloads.backends.errors import EngineConfigError
from flagscale_workloads.backends.registry import adapter_of

from .conftest import Launcher, spec

BUILT: tuple[Any, ...] = ("vllm", "sglang", "llamacpp", "transformers", "diffusers")
SAMPLES: dict[str, Any] = {
    "context_length": 512,
    "max_concurrency": 1,
    "dtype": "float32",
    "quantization": "q8_0",
    "tensor_parallel": 2,
    "pipeline_parallel": 2,
    "kv_cache_fraction": 0.5,
    "kv_cache_tokens": 4096,
    "speculative": {"method": "ngram"},
    "seed": 3,
}
DEFAULT_LAUNCH_WORDS = 5


@pytest.mark.parametrize(
    ("name", "device", "fields", "said"),
    [
        ("llamacpp", "cuda", {}, "engine.device: not supported, got cuda; llamacpp runs on cpu"),
        ("llamacpp", "cpu", {"maxConcurrency": 4}, "engine.maxConcurrency: not supported, got 4; "
         "llamacpp computes one request at a time"),
        ("llamacpp", "cpu", {"dtype": "float16"}, "engine.dtype: not supported, got float16"),
        ("llamacpp", "cpu", {"tensorParallel": 2}, "engine.tensorParallel: not supported, got 2"),
        ("llamacpp", "cpu", {"speculative": {"method": "draft", "draftModel": "/d"}},
         "engine.speculative.method: not supported, got draft"),
        ("vllm", "cuda", {"kvCacheTokens": 4096}, "engine.kvCacheTokens: not supported, got 4096"),
        ("vllm", "cpu", {"quantization": "awq"}, "engine.quantization: not supported, got awq"),
        ("vllm", "cpu", {"kvCacheTokens": 4096, "kvCacheFraction": 0.5}, "remove one"),
        ("vllm", "cpu", {"kvCacheTokens": 256, "contextLength": 512}, "at least"),
        ("sglang", "cpu", {"speculative": {"method": "ngram"}}, "engine.speculative: not"),
        ("sglang", "cpu", {"dtype": "float16"}, "engine.dtype: not supported, got float16"),
        ("sglang", "cpu", {"extraArgs": {"grammar-backend": "outlines"}}, "nothing else works"),
        ("sglang", "cpu", {"kvCacheTokens": 256, "contextLength": 512}, "at least"),
        ("sglang", "cpu", {"extraArgs": {"attention-backend": "triton"}}, "nothing else works"),
        ("transformers", "cpu", {"kvCacheTokens": 4096}, "engine.kvCacheTokens: not supported"),
        ("transformers", "cpu", {"extraArgs": {"x": 1}}, "unknown argument"),
        ("diffusers", "cpu", {"contextLength": 512}, "engine.contextLength: not supported"),
    ],
)  # fmt: skip
def test_a_setting_without_effect_is_refused(
    launch: Launcher, name: str, device: str, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(EngineConfigError, match=re.escape(said)):
        launch(name, device, **fields)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("name", BUILT)
def test_every_setting_changes_the_command_or_is_refused(
    launch: Launcher, name: Any, device: Any
) -> None:
    can = adapter_of(name).capabilities_on(device)
    if device not in can.devices:
        return
    plain = launch(name, device).command
    for setting, value in SAMPLES.items():
        field = EngineSpec.model_fields[setting].alias or setting
        if setting == "quantization":
            continue  # compared with the model's files instead
        if name == "llamacpp" and setting == "max_concurrency":
            continue  # one is what it does anyway
        if setting in can.settings:
            assert launch(name, device, **{field: value}).command != plain, setting
        else:
            with pytest.raises(EngineConfigError, match=field):
                launch(name, device, **{field: value})


@pytest.mark.parametrize("name", BUILT)
def test_defaults_are_taken_by_every_engine(launch: Launcher, name: Any) -> None:
    assert len(launch(name).command) > DEFAULT_LAUNCH_WORDS


@pytest.mark.parametrize("name", BUILT)
def test_no_launch_runs_code_of_the_model(launch: Launcher, name: Any) -> None:
    assert not any("trust" in word for word in launch(name).command)


@pytest.mark.parametrize("name", ["vllm", "sglang"])
def test_running_code_of_the_model_is_refused(launch: Launcher, name: Any) -> None:
    with pytest.raises(EngineConfigError, match="not allowed"):
        launch(name, extraArgs={"trust-remote-code": True})


@pytest.mark.parametrize("name", BUILT)
def test_metrics_have_a_path_only_where_there_are_aliases(name: Any) -> None:
    adapter = adapter_of(name)
    assert bool(adapter.metric_aliases) == (adapter.metrics_path is not None)


@pytest.mark.parametrize("name", BUILT)
def test_an_adapter_is_registered_under_its_own_name(name: Any) -> None:
    adapter = adapter_of(name)
    assert adapter.name == name
    text: Feature = "images" if name == "diffusers" else "chat"
    assert text in adapter.capabilities.features
    adapter.check(spec(name), device="cpu")


@pytest.mark.parametrize("name", ["vllm", "sglang"])
def test_tools_are_called_only_with_a_parser_for_them(name: Any) -> None:
    adapter, parser = adapter_of(name), {"tool_call_parser": "hermes"}
    assert "tool_calls" not in adapter.features(spec(name), device="cpu")
    assert "tool_calls" in adapter.features(spec(name, extraArgs=parser), device="cpu")


def test_a_model_in_a_type_that_the_engine_lacks_is_refused(launch: Launcher) -> None:
    said = "engine.dtype: not supported, got auto, which is float16 for this model; sglang takes"
    with pytest.raises(EngineConfigError, match=re.escape(said)):
        launch("sglang", stored_dtype="float16")
