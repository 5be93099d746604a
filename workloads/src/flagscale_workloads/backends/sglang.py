"""SGLang: `python -m sglang.launch_server`."""

from typing import ClassVar, Final, Literal

from flagscale_api.v1alpha1.engine import EngineSpec, SpeculativeSpec
from flagscale_workloads.backends import sglang_cpu
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
from flagscale_workloads.backends.enabled import only_enabled
from flagscale_workloads.backends.extra import check_extra, extra_arguments
from flagscale_workloads.backends.reserved import OURS, instead

# Without a number SGLang fills the machine's memory with KV cache, and takes a minute for it.
CPU_CACHE_TOKENS: Final = 32_768

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
        "abort",
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
        "kv_cache_tokens",
        "seed",
    }
)
_CPU_ONLY: Final = "nothing else works on cpu"


class SglangAdapter(BackendAdapter):
    """SGLang on CUDA or, with a stand-in for its kernels, on CPUs.

    A request's own seed has no effect unless the server runs in deterministic mode (an extra
    argument, CUDA only), so `request_seed` is not claimed. On a GPU `dtype: auto` turns a float32
    model into a 16-bit one; on CPUs it is what the model says. It answers any model name. Calling
    tools, named ones too, needs the extra argument tool-call-parser; a named tool may be called
    several times in one answer unless the request sets parallel_tool_calls to false. After SIGTERM
    it finishes what runs.
    """

    name: ClassVar[str] = "sglang"
    reads_folders: ClassVar[bool] = True
    distributions: ClassVar[tuple[str, ...]] = ("sglang",)
    capabilities: ClassVar[Capabilities] = Capabilities(
        features=_FEATURES,
        settings=_SETTINGS | {"speculative"},
        devices=frozenset({"cpu", "cuda"}),
        quantizations=frozenset({"none", "fp8", "awq", "gptq", "int8"}),
    )
    cpu_capabilities: ClassVar[Capabilities] = Capabilities(
        features=_FEATURES,
        settings=_SETTINGS - {"tensor_parallel", "pipeline_parallel", "quantization"},
        devices=frozenset({"cpu"}),
        dtypes=frozenset({"auto", "bfloat16", "float32"}),
    )
    metric_aliases: ClassVar[dict[MetricKind, str]] = {
        "running": "sglang:num_running_reqs",
        "waiting": "sglang:num_queue_reqs",
        "kv_cache_usage": "sglang:token_usage",
        "prompt_tokens": "sglang:prompt_tokens_total",
        "generated_tokens": "sglang:generation_tokens_total",
    }
    stop_grace_s: ClassVar[float] = 60.0
    arguments: ClassVar[ArgumentTable] = read_table("sglang")
    reserved: ClassVar[dict[str, str]] = {
        **dict.fromkeys(("model_path", "served_model_name"), instead("model")),
        **dict.fromkeys(("host", "port", "api_key", "admin_api_key", "config"), OURS),
        **dict.fromkeys(("log_requests", "enable_metrics", "grpc_mode", "smg_grpc_mode"), OURS),
        **dict.fromkeys(("ssl_keyfile", "ssl_certfile", "ssl_ca_certs"), OURS),
        "trust_remote_code": "not allowed: it runs code that comes with the model",
        "device": instead("device"),
        "context_length": instead("contextLength"),
        "max_running_requests": instead("maxConcurrency"),
        "dtype": instead("dtype"),
        "quantization": instead("quantization"),
        "tp_size": instead("tensorParallel"),
        "pp_size": instead("pipelineParallel"),
        "mem_fraction_static": instead("kvCacheFraction"),
        "max_total_tokens": instead("kvCacheTokens"),
        **dict.fromkeys(
            (
                "speculative_algorithm",
                "speculative_draft_model_path",
                "speculative_num_draft_tokens",
                "speculative_num_steps",
                "speculative_eagle_topk",
            ),
            instead("speculative"),
        ),
        "random_seed": instead("seed"),
    }
    cpu_reserved: ClassVar[dict[str, str]] = {
        # triton starts and dies with the first request.
        **dict.fromkeys(("attention_backend", "sampling_backend"), _CPU_ONLY),
        **dict.fromkeys(("prefill_attention_backend", "decode_attention_backend"), _CPU_ONLY),
        **dict.fromkeys(("kv_cache_dtype", "enable_torch_compile"), _CPU_ONLY),
        # images/engines/sglang is without outlines; xgrammar is what SGLang takes by itself.
        "grammar_backend": _CPU_ONLY,
    }
    parser_environment: ClassVar[dict[str, str]] = {
        **OFFLINE,
        "SGLANG_USE_CPU_ENGINE": "1",
        "PYTHONPATH": str(sglang_cpu.OVERLAY),
    }

    def capabilities_on(self, device: Literal["cpu", "cuda"]) -> Capabilities:
        """On the CPU there is no speculation, no sharding and no quantized weight."""
        return self.cpu_capabilities if device == "cpu" else self.capabilities

    def features(self, engine: EngineSpec, *, device: Literal["cpu", "cuda"]) -> frozenset[Feature]:
        """Tools only with a parser for the model's calls, addresses only with their hosts."""
        features = super().features(engine, device=device)
        return only_enabled(features, engine.extra_args)

    def check(self, engine: EngineSpec, *, device: Literal["cpu", "cuda"]) -> None:
        """Raise EngineConfigError for the first setting that SGLang can't honour."""
        super().check(engine, device=device)
        if device == "cpu":
            check_extra(engine.extra_args, table=self.arguments, reserved=self.cpu_reserved)
        length = engine.context_length or 0
        if engine.kv_cache_tokens is not None and engine.kv_cache_tokens < length:
            remedy = f"sglang needs room for one request: at least engine.contextLength {length}"
            raise refusal("kvCacheTokens", engine.kv_cache_tokens, remedy)

    def launch(self, engine: EngineSpec, placement: Placement) -> Launch:
        """The server for these settings. Raises EngineConfigError."""
        self.check(engine, device=placement.device)
        engine = self.with_stored_dtype(engine, placement)
        command = (
            str(placement.python),
            "-m",
            "sglang.launch_server",
            *option("--model-path", placement.model),
            *option("--served-model-name", placement.served_name),
            *option("--host", placement.host),
            *option("--port", placement.port),
            *option("--device", placement.device),
            *_settings(engine),
            *_cache(engine, placement.device),
            *(_CPU_BACKENDS if placement.device == "cpu" else ()),
            "--enable-metrics",
            # A line per request is the gateway's business.
            *option("--log-level-http", "warning"),
            *extra_arguments(engine.extra_args, table=self.arguments),
        )
        if placement.device == "cuda":
            return Launch(command, OFFLINE)
        version = placement.engine_version or self.arguments.version
        patch = sglang_cpu.patch_name(version)
        return Launch(command, self.parser_environment, patches=(patch,))


_CPU_BACKENDS: Final = ("--attention-backend=torch_native", "--sampling-backend=pytorch")


def _settings(engine: EngineSpec) -> tuple[str, ...]:
    # The weights' format is read from the model itself and was checked before the start.
    return (
        *option("--dtype", engine.dtype),
        *option("--context-length", engine.context_length),
        *option("--max-running-requests", engine.max_concurrency),
        *option("--tp-size", engine.tensor_parallel),
        *option("--pp-size", engine.pipeline_parallel),
        *option("--random-seed", engine.seed),
        *(_speculative(engine.speculative) if engine.speculative else ()),
    )


def _cache(engine: EngineSpec, device: Literal["cpu", "cuda"]) -> tuple[str, ...]:
    tokens = engine.kv_cache_tokens
    if tokens is None and engine.kv_cache_fraction is None and device == "cpu":
        tokens = max(CPU_CACHE_TOKENS, engine.context_length or 0)
    return (
        *option("--mem-fraction-static", engine.kv_cache_fraction),
        *option("--max-total-tokens", tokens),
    )


def _speculative(spec: SpeculativeSpec) -> tuple[str, ...]:
    if spec.method == "ngram":
        return (
            *option("--speculative-algorithm", "NGRAM"),
            *option("--speculative-num-draft-tokens", spec.tokens),
        )
    return (
        *option("--speculative-algorithm", "STANDALONE"),
        *option("--speculative-draft-model-path", spec.draft_model),
        *option("--speculative-num-steps", spec.tokens),
        *option("--speculative-eagle-topk", 1),
        # The token that is verified comes on top of the drafted ones.
        *option("--speculative-num-draft-tokens", spec.tokens + 1),
    )
