"""Hugging Face diffusers behind our own server: pictures from text."""

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


class DiffusersAdapter(BackendAdapter):
    """Pipelines that diffusers loads; there are no tokens, hence no context and no token counts."""

    name: ClassVar[str] = "diffusers"
    capabilities: ClassVar[Capabilities] = Capabilities(
        features=frozenset({"images", "request_seed", "abort", "unknown_model", "malformed_body"}),
        settings=frozenset({"max_concurrency", "dtype", "seed"}),
        devices=frozenset({"cpu", "cuda"}),
    )
    metric_aliases: ClassVar[dict[MetricKind, str]] = {
        "running": "flagscale_engine_running",
        "waiting": "flagscale_engine_waiting",
    }

    arguments: ClassVar[ArgumentTable] = ARGUMENTS

    def launch(self, engine: EngineSpec, placement: Placement) -> Launch:
        """Our server with the diffusers loader. Raises EngineConfigError."""
        self.check(engine, device=placement.device)
        return inference_launch("diffusers", engine, placement)
