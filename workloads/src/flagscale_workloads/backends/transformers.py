"""Hugging Face transformers behind our own server."""

from typing import ClassVar

from flagscale_api.v1alpha1.engine import EngineSpec
from flagscale_workloads.backends.adapter import (
    BackendAdapter,
    Capabilities,
    Launch,
    MetricKind,
    Placement,
)
from flagscale_workloads.backends.arguments import ArgumentTable
from flagscale_workloads.backends.inference_process import ARGUMENTS, inference_launch


class TransformersAdapter(BackendAdapter):
    """Any language model that transformers loads, on any device that torch has."""

    name: ClassVar[str] = "transformers"
    reads_folders: ClassVar[bool] = True
    capabilities: ClassVar[Capabilities] = Capabilities(
        features=frozenset({"chat", "completions", "embeddings", "logprobs",
                            "json_schema", "stream_usage",
                            "request_seed", "abort", "unknown_model", "malformed_body"}),
        settings=frozenset({"context_length", "max_concurrency", "dtype", "seed"}),
        devices=frozenset({"cpu", "cuda"}),
    )  # fmt: skip
    metric_aliases: ClassVar[dict[MetricKind, str]] = {
        "running": "flagscale_engine_running",
        "waiting": "flagscale_engine_waiting",
        "kv_cache_usage": "flagscale_engine_kv_cache_usage",
        "prompt_tokens": "flagscale_engine_prompt_tokens_total",
        "generated_tokens": "flagscale_engine_generated_tokens_total",
    }

    arguments: ClassVar[ArgumentTable] = ARGUMENTS

    def launch(self, engine: EngineSpec, placement: Placement) -> Launch:
        """Our server with the transformers loader. Raises EngineConfigError."""
        self.check(engine, device=placement.device)
        return inference_launch("transformers", engine, placement)
