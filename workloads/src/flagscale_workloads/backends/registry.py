"""Which adapter an engine's name means."""

import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from flagscale_api.v1alpha1.engine import EngineName
from flagscale_workloads.backends.adapter import BackendAdapter

# Imported when asked for: an image may lack what another engine's adapter needs.
_ADAPTERS: Final[Mapping[EngineName, str]] = MappingProxyType(
    {
        "vllm": "vllm:VllmAdapter",
        "sglang": "sglang:SglangAdapter",
        "llamacpp": "llamacpp:LlamaCppAdapter",
        "transformers": "transformers:TransformersAdapter",
        "diffusers": "diffusers:DiffusersAdapter",
        "simulator": "simulator:SimulatorAdapter",
    }
)


def adapter_of(name: EngineName) -> BackendAdapter:
    """The adapter of an engine."""
    module, _, kind = _ADAPTERS[name].partition(":")
    adapter: BackendAdapter = getattr(importlib.import_module(f"{__package__}.{module}"), kind)()
    return adapter
