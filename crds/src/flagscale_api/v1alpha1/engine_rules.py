"""Which settings go with which engine, on which device: one table, said in CEL and in Python."""

from typing import TYPE_CHECKING, Final

from flagscale_api.meta import CelRule
from flagscale_api.v1alpha1.engine import EngineSpec
from flagscale_api.v1alpha1.engine_choice import chosen_engine, chosen_in_cel, is_default_in_cel
from flagscale_api.v1alpha1.offered_engines import DTYPES, OFFERED_ENGINES, SETTINGS

if TYPE_CHECKING:
    from flagscale_api.v1alpha1.inference_service import InferenceServiceSpec

CHOSEN: Final = chosen_in_cel("self")


def _those_with(setting: str) -> list[str]:
    return [name for name, offer in OFFERED_ENGINES.items() if setting in offer.settings]


def _setting_rule(setting: str) -> CelRule:
    """Only engines that honour a setting may have another value than its default."""
    field = EngineSpec.model_fields[setting]
    alias, able = str(field.alias), _those_with(setting)
    unset = is_default_in_cel("self.engine", setting)
    remedy = f"remove it, or use {' or '.join(able)}" if able else "remove it"
    if setting in ("tensor_parallel", "pipeline_parallel"):
        remedy = "each engine offered so far uses one device; remove it, and raise spec.replicas"

    def holds(spec: "InferenceServiceSpec") -> bool:
        return getattr(spec.engine, setting) == field.default or chosen_engine(spec) in able

    return CelRule(
        f"{unset} || {CHOSEN} in {able}" if able else unset,
        f"spec.engine.{alias}: not supported by this engine; {remedy}",
        f".engine.{alias}",
        holds=holds,
    )


_ON_CUDA: Final = [name for name, offer in OFFERED_ENGINES.items() if "cuda" in offer.devices]


def _values_rule(engine: str, setting: str, values: tuple[str, ...], wrong: str) -> CelRule:
    """Which values of a setting an engine honours."""

    def holds(spec: "InferenceServiceSpec") -> bool:
        return chosen_engine(spec) != engine or getattr(spec.engine, setting) in values

    return CelRule(
        f"{CHOSEN} != '{engine}' || self.engine.{setting} in {list(values)}",
        f"spec.engine.{setting}: {engine} {wrong}; use {', '.join(values)}",
        f".engine.{setting}",
        holds=holds,
    )


ENGINE_RULES: Final = (
    CelRule(
        f"{CHOSEN} in {list(OFFERED_ENGINES)}",
        f"spec.engine.name: not offered yet; use {', '.join(OFFERED_ENGINES)}",
        ".engine.name",
        holds=lambda spec: chosen_engine(spec) in OFFERED_ENGINES,
    ),
    CelRule(
        f"self.engine.device != 'cuda' || {CHOSEN} in {_ON_CUDA}",
        "spec.engine.device: this engine computes on cpu only; use cpu or auto, or "
        f"{' or '.join(_ON_CUDA)}",
        ".engine.device",
        holds=lambda spec: spec.engine.device != "cuda" or chosen_engine(spec) in _ON_CUDA,
    ),
    *map(_setting_rule, SETTINGS),
    *(
        _values_rule(name, "quantization", offer.quantizations, "reads no such weights")
        for name, offer in OFFERED_ENGINES.items()
        if "quantization" in offer.settings
    ),
    *(
        _values_rule(name, "dtype", offer.dtypes, "does not compute in it here")
        for name, offer in OFFERED_ENGINES.items()
        if "dtype" in offer.settings and offer.dtypes != DTYPES
    ),
    CelRule(
        f"{CHOSEN} != 'llamacpp' || !has(self.engine.maxConcurrency) || "
        "self.engine.maxConcurrency == 1",
        "spec.engine.maxConcurrency: llamacpp computes one request at a time; use 1, and raise "
        "spec.replicas",
        ".engine.maxConcurrency",
        holds=lambda spec: (
            chosen_engine(spec) != "llamacpp" or spec.engine.max_concurrency in (None, 1)
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
