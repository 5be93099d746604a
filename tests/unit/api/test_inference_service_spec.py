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
from flagscale_api.v1alpha1.engine_choice import chosen_engine
from flagscale_api.v1alpha1.inference_service import InferenceServiceSpec
from flagscale_api.v1alpha1.offered_engines import OFFERED_ENGINES, SETTINGS
from flagscale_workloads.backends.registry import adapter_of
from support.inference_services import SPEC
from support.spec_schema import as_json, draft_4, leaves, merged, paths, scalars, used

SCHEMA = structural_schema(InferenceServiceSpec)
VALIDATOR = jsonschema.Draft4Validator(draft_4(SCHEMA))
SAMPLES = sorted(ROOT.glob("crds/samples/**/inferenceservice*.yaml"))
LLAMACPP = {"model": {"file": "m.gguf"}, "engine": {"name": "llamacpp"}}
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
    if "dtype" in offer.settings:
        assert set(offer.dtypes) == can.dtypes


HUB = {"volume": None, "huggingFace": {"repo": "acme/tiny", "revision": "main"}}
SHA256 = "0" * 64


def web(uri: str, **more: Any) -> dict[str, Any]:
    return {"model": {"volume": None, "uri": uri, **more}}


REFUSED_DOWNLOADS: list[tuple[dict[str, Any], str]] = [
    ({"model": {**HUB, "uri": "s3://b/m"}}, "spec.model: exactly one of"),
    (web("https://h/model", sha256=SHA256), "spec.model.uri: an https server has no folders"),
    (web("https://h/m.tar"), "spec.model.sha256: is needed for an https URI"),
    (web("s3://b/m", sha256=SHA256), "spec.model.sha256: is needed"),
    ({"model": {**HUB, "sha256": SHA256}}, "spec.model.sha256: is needed"),
    (web("https://h/m.tar", sha256=SHA256, s3={"region": "x"}), "spec.model.s3: is for s3://"),
    (web("https://h/m.gguf", sha256=SHA256), "spec.model.file: must be the name of the file"),
    (
        merged(LLAMACPP, web("s3://b/m.gguf", sha256=SHA256, file="n.gguf")),
        "spec.model.file: must be the name of the file",
    ),
    ({"model": {"cache": {"claimName": "c"}}}, "spec.model.cache: is about downloads"),
    ({"model": {"maxDownloadBytes": 1 << 30}}, "spec.model.maxDownloadBytes: is about downloads"),
    ({"model": {"caSecretRef": {"name": "a", "key": "b"}}}, "spec.model.caSecretRef: is about"),
]
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"model": {"trainJobRef": {"name": "j"}}}, "spec.model: exactly one of"),
    ({"model": {"volume": None}}, "spec.model: exactly one of"),
    ({"model": {"volume": {"path": "a/../../b"}}}, "spec.model.volume.path: may not leave"),
    ({"model": {"file": "m.gguf"}}, "spec.model.file: is needed for engine llamacpp"),
    ({"engine": {"name": "llamacpp"}}, "spec.model.file: is needed for engine llamacpp"),
    ({"engine": {"name": "diffusers"}}, "spec.engine.name: not offered yet; use transformers"),
    ({"engine": {"name": "sglang", "dtype": "float16"}}, "use auto, bfloat16, float32"),
    ({"engine": {"name": "sglang", "quantization": "fp8"}}, "spec.engine.quantization: not supp"),
    ({"engine": {"name": "vllm", "quantization": "awq"}}, "vllm reads no such weights; use none"),
    ({"upgradeDeadlineSeconds": 60}, "spec.upgradeDeadlineSeconds: is for runtime rayservice"),
    ({"engine": {"name": "simulator", "device": "cuda"}}, "spec.engine.device: this engine"),
    ({"engine": {"tensorParallel": 2}}, "spec.engine.tensorParallel: not supported"),
    ({"engine": {"pipelineParallel": 2}}, "spec.engine.pipelineParallel: not supported"),
    ({"engine": {"kvCacheFraction": 0.5}}, "spec.engine.kvCacheFraction: not supported"),
    ({"engine": {"kvCacheTokens": 64}}, "remove it, or use vllm or sglang or simulator"),
    ({"engine": {"quantization": "q8_0"}}, "remove it, or use llamacpp or vllm"),
    ({"engine": {"speculative": {"method": "ngram"}}}, "spec.engine.speculative: not supported"),
    (merged(LLAMACPP, {"engine": {"dtype": "float16"}}), "spec.engine.dtype: not supported"),
    (merged(LLAMACPP, {"engine": {"quantization": "awq"}}), "llamacpp reads no such weights"),
    (merged(LLAMACPP, {"engine": {"maxConcurrency": 2}}), "llamacpp computes one request"),
    *REFUSED_DOWNLOADS,
]


@pytest.mark.parametrize(("change", "told"), REFUSED)
def test_the_model_refuses_what_the_api_server_refuses(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError) as caught:
        InferenceServiceSpec.model_validate(merged(SPEC, change))
    assert told in str(caught.value)


@pytest.mark.parametrize(("file", "engine"), [("m.gguf", "llamacpp"), (None, "vllm")])
@pytest.mark.parametrize(
    "written", [{}, {"engine": {"name": "auto"}}, {"engine": None}, {"engine": {"name": None}}]
)
def test_an_engine_that_is_not_named_is_told_by_the_model(
    written: dict[str, Any], file: str | None, engine: str
) -> None:
    unnamed = {name: value for name, value in SPEC.items() if name not in ("engine", "runtime")}
    spec = InferenceServiceSpec.model_validate(merged(unnamed, {"model": {"file": file}}) | written)
    assert (chosen_engine(spec), spec.effective_runtime) == (
        engine, "pods" if file else "rayservice"
    )  # fmt: skip


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


@pytest.mark.parametrize(
    "model",
    [
        HUB,
        HUB | {"cache": {"claimName": "c"}, "maxDownloadBytes": 1 << 30},
        web("s3://b/folder")["model"],
        web("s3://b/m.tar.gz", sha256=SHA256, s3={"endpoint": "http://minio:9000"})["model"],
        web("s3://b/m.tgz")["model"],
        web("https://h:8443/a/m.tar", sha256=SHA256)["model"],
    ],
)
def test_a_model_may_be_downloaded(model: dict[str, Any]) -> None:
    InferenceServiceSpec.model_validate(merged(SPEC, {"model": model}))


@pytest.mark.parametrize(
    "uri",
    ["http://h/m.tar", "https://user:pw@h/m.tar", "https://h/m.tar?sig=1", "s3://b", "s3://b/",
     "ftp://h/m.tar", "https://h/m .tar"],
)  # fmt: skip
def test_a_uri_is_https_or_s3_and_holds_no_secret(uri: str) -> None:
    with pytest.raises(ValidationError, match=r"model\.uri"):
        InferenceServiceSpec.model_validate(merged(SPEC, web(uri, sha256=SHA256)))


def changed(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    change: Any = value
    for name in reversed(path):
        change = {name: change}
    return merged(SPEC, change)


@settings(max_examples=300)
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
