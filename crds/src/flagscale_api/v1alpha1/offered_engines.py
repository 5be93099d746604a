"""Engines that an InferenceService may have now, and what each can do: the source of its rules."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, get_args

from flagscale_api.v1alpha1.engine import EngineName, EngineSpec

DTYPES: Final = get_args(EngineSpec.model_fields["dtype"].annotation)


@dataclass(frozen=True, slots=True)
class Offer:
    """What one engine honours; the adapters say the same (a test compares them)."""

    devices: tuple[str, ...]
    settings: tuple[str, ...]
    quantizations: tuple[str, ...] = ("none",)
    dtypes: tuple[str, ...] = DTYPES


OFFERED_ENGINES: Final[Mapping[EngineName, Offer]] = MappingProxyType(
    {
        "transformers": Offer(
            ("cpu", "cuda"), ("context_length", "max_concurrency", "dtype", "seed")
        ),
        "llamacpp": Offer(
            ("cpu",),
            ("context_length", "max_concurrency", "quantization", "speculative", "seed"),
            ("none", "f16", "q8_0"),
        ),
        # The stock image has its CPU build.
        "vllm": Offer(
            ("cpu",),
            (
                "context_length",
                "max_concurrency",
                "dtype",
                "quantization",
                "kv_cache_fraction",
                "kv_cache_tokens",
                "speculative",
                "seed",
            ),
            ("none", "int8"),
        ),
        # As vLLM, and what it computes in there.
        "sglang": Offer(
            ("cpu",),
            (
                "context_length",
                "max_concurrency",
                "dtype",
                "kv_cache_fraction",
                "kv_cache_tokens",
                "seed",
            ),
            dtypes=("auto", "bfloat16", "float32"),
        ),
        "simulator": Offer(
            ("cpu",), ("context_length", "max_concurrency", "kv_cache_tokens", "seed")
        ),
    }
)
"""An engine joins when an image has it."""
SETTINGS: Final = tuple(
    name for name in EngineSpec.model_fields if name not in ("name", "device", "extra_args")
)
