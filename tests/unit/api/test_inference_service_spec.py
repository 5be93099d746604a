"""The model and the generated schema agree on what an InferenceService may say."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from flagscale_api.crdgen import ROOT
from flagscale_api.schema import structural_schema
from flagscale_api.v1alpha1.inference_service import InferenceServiceSpec
from flagscale_api.v1alpha1.offered_engines import OFFERED_ENGINES, SETTINGS
from flagscale_workloads.backends.registry import adapter_of
from support.inference_services import SPEC
from support.spec_schema import as_json, draft_4, leaves, merged, paths, scalars, used

SCHEMA = structural_schema(InferenceServiceSpec)
VALIDATOR = jsonschema.Draft4Validator(draft_4(SCHEMA))
SAMPLES = sorted(ROOT.glob("crds/samples/**/inferenceservice*.yaml"))
IMAGE = {"image": "team/llamacpp:1"}
LLAMACPP = {"model": {"file": "m.gguf"}, "engine": {"name": "llamacpp"}, **IMAGE}
# They come with the engines that honour them.
OF_OTHER_ENGINES = {".engine.kvCacheFraction", ".engine.speculative.draftModel"}


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_samples_are_valid_by_model_and_schema(sample: Path) -> None:
    spec = yaml.safe_load(sample.read_text())["spec"]
    VALIDATOR.validate(spec)
    VALIDATOR.validate(as_json(InferenceServiceSpec.model_validate(spec)))


def test_the_samples_use_every_field() -> None:
    specs = [yaml.safe_load(path.read_text())["spec"] for path in SAMPLES]
    shown = set().union(*(used(spec, SCHEMA) for spec in specs))
    assert leaves(SCHEMA) - shown == OF_OTHER_ENGINES


@pytest.mark.parametrize("engine", OFFERED_ENGINES)
def test_the_table_of_offered_engines_is_what_their_adapters_say(engine: str) -> None:
    offer, adapter = OFFERED_ENGINES[engine], adapter_of(engine)  # type: ignore[arg-type]
    can = adapter.capabilities_on("cpu") if offer.devices == ("cpu",) else adapter.capabilities
    assert set(offer.devices) == can.devices
    assert set(offer.settings) == can.settings
    assert set(offer.quantizations) == can.quantizations


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"model": {"trainJobRef": {"name": "j"}}}, "spec.model: exactly one of"),
    ({"model": {"volume": None}}, "spec.model: exactly one of"),
    ({"model": {"volume": {"path": "a/../../b"}}}, "spec.model.volume.path: may not leave"),
    ({"model": {"file": "m.gguf"}}, "spec.model.file: is needed for engine llamacpp"),
    ({"engine": {"name": "llamacpp"}}, "spec.model.file: is needed for engine llamacpp"),
    (LLAMACPP | {"image": None}, "spec.image: is needed for engine llamacpp"),
    ({"engine": {"name": "sglang"}}, "spec.engine.name: not offered yet; use transformers"),
    ({"engine": {"name": "vllm", "quantization": "awq"}}, "vllm reads no such weights; use none"),
    ({"upgradeDeadlineSeconds": 60}, "spec.upgradeDeadlineSeconds: is for runtime rayservice"),
    ({"engine": {"name": "simulator", "device": "cuda"}}, "spec.engine.device: this engine"),
    ({"engine": {"tensorParallel": 2}}, "spec.engine.tensorParallel: not supported"),
    ({"engine": {"pipelineParallel": 2}}, "spec.engine.pipelineParallel: not supported"),
    ({"engine": {"kvCacheFraction": 0.5}}, "spec.engine.kvCacheFraction: not supported"),
    ({"engine": {"kvCacheTokens": 64}}, "remove it, or use vllm or simulator"),
    ({"engine": {"quantization": "q8_0"}}, "remove it, or use llamacpp or vllm"),
    ({"engine": {"speculative": {"method": "ngram"}}}, "spec.engine.speculative: not supported"),
    (merged(LLAMACPP, {"engine": {"dtype": "float16"}}), "spec.engine.dtype: not supported"),
    (merged(LLAMACPP, {"engine": {"quantization": "awq"}}), "llamacpp reads no such weights"),
    (merged(LLAMACPP, {"engine": {"maxConcurrency": 2}}), "llamacpp computes one request"),
]


@pytest.mark.parametrize(("change", "told"), REFUSED)
def test_the_model_refuses_what_the_api_server_refuses(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError) as caught:
        InferenceServiceSpec.model_validate(merged(SPEC, change))
    assert told in str(caught.value)


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_engine_takes_the_default_of_every_setting(setting: str) -> None:
    for engine in OFFERED_ENGINES:
        needed = LLAMACPP if engine == "llamacpp" else {}
        spec = merged(SPEC, merged(needed, {"engine": {"name": engine}}))
        assert getattr(InferenceServiceSpec.model_validate(spec).engine, setting) in (
            None, 0, 1, "auto", "none",
        )  # fmt: skip


@pytest.mark.parametrize("path", [".", "a", "a/b", "a..b", "..a/b.."])
def test_a_path_may_be_the_root_or_lie_below_it(path: str) -> None:
    InferenceServiceSpec.model_validate(merged(SPEC, {"model": {"volume": {"path": path}}}))


def changed(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    change: Any = value
    for name in reversed(path):
        change = {name: change}
    return merged(SPEC, change)


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_model_and_schema_refuse_the_same_values(data: st.DataObject) -> None:
    path, schema = data.draw(st.sampled_from(paths(SCHEMA)))
    spec = changed(path, data.draw(scalars(schema)))
    try:
        model = InferenceServiceSpec.model_validate(spec)
    except ValidationError as error:
        # Rules over several fields are CEL's: a schema alone does not know them.
        by_rule = {e["type"] for e in error.errors()} == {"value_error"}
        assert by_rule or not VALIDATOR.is_valid(spec), spec
    else:
        VALIDATOR.validate(spec)
        assert InferenceServiceSpec.model_validate(as_json(model)) == model
