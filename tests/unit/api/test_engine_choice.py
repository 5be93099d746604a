"""An engine is chosen for a service that names none: the same for the same spec, and kept."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from flagscale_api.v1alpha1.common import Resources
from flagscale_api.v1alpha1.engine import EngineChoice, EngineName
from flagscale_api.v1alpha1.engine_choice import PREFERRED, chosen_engine, why_chosen
from flagscale_api.v1alpha1.inference_service import InferenceServiceSpec, ServedModelSpec
from flagscale_api.v1alpha1.offered_engines import OFFERED_ENGINES
from support.engine_settings import MODELS, RESOURCES, engine_settings
from support.spec_schema import merged

VOLUME, GGUF = MODELS
GPU = RESOURCES[1]


def spec_of(**fields: Any) -> InferenceServiceSpec:
    return InferenceServiceSpec.model_validate({"model": VOLUME, **fields})


def unjudged(spec: dict[str, Any]) -> InferenceServiceSpec:
    """A spec that its rules may refuse."""
    return InferenceServiceSpec.model_construct(
        model=ServedModelSpec.model_validate(spec["model"]),
        engine=EngineChoice.model_validate(spec["engine"]),
        resources=Resources.model_validate(spec["resources"]),
    )


def refusal(spec: dict[str, Any]) -> str:
    """What is said against a spec; nothing: it is taken."""
    try:
        InferenceServiceSpec.model_validate(spec)
    except ValidationError as error:
        return error.errors()[0]["msg"]
    return ""


def named(spec: dict[str, Any], name: str) -> dict[str, Any]:
    return merged(spec, {"engine": {"name": name}})


SPECS = st.fixed_dictionaries(
    {
        "model": st.sampled_from(MODELS),
        "engine": engine_settings(),
        "resources": st.sampled_from(RESOURCES),
    }
)


@pytest.mark.parametrize(
    ("fields", "engine"),
    [
        ({}, "vllm"),
        ({"engine": {"name": "auto"}}, "vllm"),
        ({"engine": {"name": "sglang"}}, "sglang"),
        ({"runtime": "pods"}, "vllm"),
        ({"model": GGUF}, "llamacpp"),
        ({"model": GGUF, "runtime": "rayservice"}, "llamacpp"),
        ({"model": GGUF, "resources": GPU}, "llamacpp"),
        ({"engine": {"device": "cuda"}}, "transformers"),
        ({"resources": GPU}, "transformers"),
        ({"resources": GPU, "engine": {"device": "cpu"}}, "vllm"),
        ({"resources": GPU, "engine": {"kvCacheTokens": 4096}}, "vllm"),
        ({"engine": {"quantization": "int8", "dtype": "float16"}}, "vllm"),
    ],
)
def test_the_spec_alone_decides(fields: dict[str, Any], engine: str) -> None:
    assert chosen_engine(spec_of(**fields)) == engine


@pytest.mark.parametrize(
    ("fields", "running", "engine"),
    [
        ({}, "transformers", "transformers"),
        ({}, "sglang", "sglang"),
        ({"engine": {"contextLength": 64}}, "transformers", "transformers"),
        ({"engine": {"kvCacheTokens": 64}}, "transformers", "vllm"),
        ({"engine": {"dtype": "float16"}}, "sglang", "vllm"),
        ({"resources": GPU}, "vllm", "transformers"),
        ({}, "simulator", "vllm"),
        ({}, "llamacpp", "vllm"),
        ({"model": GGUF}, "vllm", "llamacpp"),
        ({"engine": {"name": "vllm"}}, "transformers", "vllm"),
    ],
)
def test_an_edit_changes_the_engine_only_if_it_must(
    fields: dict[str, Any], running: EngineName, engine: str
) -> None:
    assert chosen_engine(spec_of(**fields), running) == engine


@given(spec=SPECS)
def test_auto_is_judged_as_the_engine_that_it_stands_for(spec: dict[str, Any]) -> None:
    chosen = chosen_engine(unjudged(spec))

    assert refusal(spec) == refusal(named(spec, chosen))


@given(spec=SPECS)
def test_auto_is_refused_only_if_every_engine_would_be(spec: dict[str, Any]) -> None:
    if refusal(spec):
        able = [name for name in OFFERED_ENGINES if not refusal(named(spec, name))]
        assert set(able) <= {"simulator"}


@given(spec=SPECS, running=st.sampled_from([*OFFERED_ENGINES, None]))
def test_what_is_kept_could_be_named_and_needs_no_other_runtime(
    spec: dict[str, Any], running: EngineName | None
) -> None:
    kept = chosen_engine(unjudged(spec), running)

    assert refusal(named(spec, kept)) == refusal(spec)
    if not refusal(spec):
        accepted = InferenceServiceSpec.model_validate(named(spec, kept))
        assert accepted.effective_runtime == unjudged(spec).effective_runtime
        assert chosen_engine(unjudged(spec), kept) == kept


@pytest.mark.parametrize(
    ("fields", "engine", "why"),
    [
        ({"model": GGUF}, "llamacpp", "spec.model.file is a GGUF file"),
        ({}, "vllm", "it is the first of vllm, sglang and transformers that offers all that spec."),
        ({"resources": GPU}, "transformers", "asks for, on a GPU"),
        ({}, "transformers", "it is the engine that the service has"),
    ],
)
def test_the_choice_is_explained(fields: dict[str, Any], engine: EngineName, why: str) -> None:
    assert why in why_chosen(spec_of(**fields), engine)


def test_every_engine_that_auto_may_stand_for_is_offered() -> None:
    assert {*PREFERRED, "llamacpp"} <= set(OFFERED_ENGINES)
