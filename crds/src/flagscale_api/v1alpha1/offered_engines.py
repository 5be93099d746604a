"""Engines that an InferenceService may name now, and what each can do: the source of its rules."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, get_args

from flagscale_api.meta import CelRule
from flagscale_api.v1alpha1.engine import EngineSpec
from flagscale_api.v1alpha1.engine_choice import CHOSEN_IN_CEL

if TYPE_CHECKING:
    from flagscale_api.v1alpha1.inference_service import InferenceServiceSpec


DTYPES: Final = get_args(EngineSpec.model_fields["dtype"].annotation)


@dataclass(frozen=True, slots=True)
class Offer:
    """What one engine honours; the adapters say the same (a test compares them)."""

    devices: tuple[str, ...]
    settings: tuple[str, ...]
    quantizations: tuple[str, ...] = ("none",)
    dtypes: tuple[str, ...] = DTYPES


OFFERED_ENGINES: Final[Mapping[str, Offer]] = MappingProxyType(
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


def _those_with(setting: str) -> list[str]:
    return [name for name, offer in OFFERED_ENGINES.items() if setting in offer.settings]


def _setting_rule(setting: str) -> CelRule:
    """Only engines that honour a setting may have another value than its default."""
    field = EngineSpec.model_fields[setting]
    alias, able = str(field.alias), _those_with(setting)
    path = f"self.engine.{alias}"
    unset = f"!has({path})" if field.default is None else f"{path} == {field.default!r}"
    remedy = f"remove it, or use {' or '.join(able)}" if able else "remove it"
    if setting in ("tensor_parallel", "pipeline_parallel"):
        remedy = "each engine offered so far uses one device; remove it, and raise spec.replicas"

    def holds(spec: "InferenceServiceSpec") -> bool:
        return getattr(spec.engine, setting) == field.default or spec.engine.name in able

    return CelRule(
        f"{unset} || {CHOSEN_IN_CEL} in {able}" if able else unset,
        f"spec.engine.{alias}: not supported by this engine; {remedy}",
        f".engine.{alias}",
        holds=holds,
    )


_ON_CUDA: Final = [name for name, offer in OFFERED_ENGINES.items() if "cuda" in offer.devices]


def _weights_rule(engine: str, readable: tuple[str, ...]) -> CelRule:
    """What an engine that reads quantized weights can read."""

    def holds(spec: "InferenceServiceSpec") -> bool:
        return spec.engine.name != engine or spec.engine.quantization in readable

    return CelRule(
        f"{CHOSEN_IN_CEL} != '{engine}' || self.engine.quantization in {list(readable)}",
        f"spec.engine.quantization: {engine} reads no such weights; use {', '.join(readable)}",
        ".engine.quantization",
        holds=holds,
    )


def _dtype_rule(engine: str, dtypes: tuple[str, ...]) -> CelRule:
    """In what an engine that honours a dtype can't compute."""

    def holds(spec: "InferenceServiceSpec") -> bool:
        return spec.engine.name != engine or spec.engine.dtype in dtypes

    return CelRule(
        f"{CHOSEN_IN_CEL} != '{engine}' || self.engine.dtype in {list(dtypes)}",
        f"spec.engine.dtype: {engine} does not compute in it here; use {', '.join(dtypes)}",
        ".engine.dtype",
        holds=holds,
    )


ENGINE_RULES: Final = (
    CelRule(
        f"{CHOSEN_IN_CEL} in {list(OFFERED_ENGINES)}",
        f"spec.engine.name: not offered yet; use {', '.join(OFFERED_ENGINES)}",
        ".engine.name",
        holds=lambda spec: spec.engine.name in OFFERED_ENGINES,
    ),
    CelRule(
        f"self.engine.device != 'cuda' || {CHOSEN_IN_CEL} in {_ON_CUDA}",
        "spec.engine.device: this engine computes on cpu only; use cpu or auto, or "
        f"{' or '.join(_ON_CUDA)}",
        ".engine.device",
        holds=lambda spec: spec.engine.device != "cuda" or spec.engine.name in _ON_CUDA,
    ),
    *map(_setting_rule, SETTINGS),
    *(
        _weights_rule(name, offer.quantizations)
        for name, offer in OFFERED_ENGINES.items()
        if "quantization" in offer.settings
    ),
    *(
        _dtype_rule(name, offer.dtypes)
        for name, offer in OFFERED_ENGINES.items()
        if "dtype" in offer.settings and offer.dtypes != DTYPES
    ),
    CelRule(
        f"{CHOSEN_IN_CEL} != 'llamacpp' || !has(self.engine.maxConcurrency) || "
        "self.engine.maxConcurrency == 1",
        "spec.engine.maxConcurrency: llamacpp computes one request at a time; use 1, and raise "
        "spec.replicas",
        ".engine.maxConcurrency",
        holds=lambda spec: (
            spec.engine.name != "llamacpp" or spec.engine.max_concurrency in (None, 1)
        ),
    ),
    CelRule(
        "!has(self.engine.speculative) || self.engine.speculative.method == 'ngram'",
        "spec.engine.speculative.method: no engine offered so far loads a draft model; use ngram",
        ".engine.speculative.method",
        holds=lambda spec: (
            spec.engine.speculative is None or spec.engine.speculative.method == "ngram"
        ),
    ),
)
