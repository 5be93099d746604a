"""The model and the generated schema agree on what a TrainJob may say."""

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
from flagscale_api.v1alpha1.train_job import TrainJobSpec
from support.spec_schema import as_json, draft_4, leaves, merged, paths, scalars, used

SCHEMA = structural_schema(TrainJobSpec)
SAMPLES = sorted(ROOT.glob("crds/samples/**/trainjob*.yaml"))
TRAINER: dict[str, Any] = {
    "trainer": {"data": {"path": "/data/corpus.txt"}, "output": {"path": "/data/out"}},
    "volumes": {"data": {"claimName": "claim", "mountPath": "/data"}},
}
SCRIPT: dict[str, Any] = {"image": "i", "command": ["c"]}


VALIDATOR = jsonschema.Draft4Validator(draft_4(SCHEMA))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_samples_are_valid_by_model_and_schema(sample: Path) -> None:
    spec = yaml.safe_load(sample.read_text())["spec"]
    VALIDATOR.validate(spec)
    VALIDATOR.validate(as_json(TrainJobSpec.model_validate(spec)))


def test_the_samples_use_every_field() -> None:
    specs = [yaml.safe_load(path.read_text())["spec"] for path in SAMPLES]
    assert set().union(*(used(spec, SCHEMA) for spec in specs)) == leaves(SCHEMA)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"script": SCRIPT}, "spec: exactly one of"),
        ({"trainer": None}, "spec: exactly one of"),
        ({"trainer": None, "script": SCRIPT, "image": "i"}, "spec.image: only allowed"),
        ({"trainer": {"data": {"path": "/database/a"}}}, "spec.trainer.data.path: must lie"),
        ({"trainer": {"output": {"path": "/o"}}}, "spec.trainer.output.path: must lie"),
        ({"trainer": {"data": {"path": "/data/../x"}}}, "spec.trainer.data.path: must not"),
        ({"trainer": {"output": {"path": "/data/.."}}}, "spec.trainer.output.path: must not"),
        ({"volumes": {"data": {"readOnly": True}}}, "spec.trainer.output.path: must lie"),
        ({"volumes": {"b": {"claimName": "b", "mountPath": "/data"}}}, "spec.volumes: each mount"),
        ({"volumes": {"b": {"claimName": "b", "mountPath": "/tmp"}}}, "spec.volumes: each mount"),
        ({"volumes": {"b" * 53: {"claimName": "b", "mountPath": "/b"}}}, "spec.volumes: names"),
        ({"replicas": 3}, "spec.trainer.schedule.globalBatchSize: must be a multiple"),
        ({"env": [{"name": "FLAGSCALE_X", "value": "0"}]}, "spec.env: PET_*"),
        ({"env": [{"name": "WORLD_SIZE", "value": "0"}]}, "spec.env: PET_*"),
        ({"env": [{"name": "A"}]}, "spec.env: each entry"),
        ({"env": [{"name": "A", "value": "1"}] * 2}, "spec.env: each name"),
        ({"podTemplate": {"nodeSelector": {"a b": "c"}}}, "spec.podTemplate.nodeSelector: keys"),
    ],
)
def test_the_model_refuses_what_the_api_server_refuses(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TrainJobSpec.model_validate(merged(TRAINER, change))
    assert told in str(caught.value)


@pytest.mark.parametrize("path", ["/data", "/data/deep/er", "/data/*.txt"])
def test_data_may_be_the_mount_or_lie_below_it(path: str) -> None:
    TrainJobSpec.model_validate(merged(TRAINER, {"trainer": {"data": {"path": path}}}))


@pytest.mark.parametrize("change", [{"replica": 2}, {"trainer": {"model": {"hidden": 1}}}])
def test_unknown_fields_are_refused_by_both(change: dict[str, Any]) -> None:
    spec = merged(TRAINER, change)
    with pytest.raises(ValidationError):
        TrainJobSpec.model_validate(spec)
    assert not VALIDATOR.is_valid(spec)


SCALARS = paths({**SCHEMA, "properties": {**SCHEMA["properties"], "script": {"type": "object"}}})


def changed(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    change: Any = value
    for name in reversed(path):
        change = {name: change}
    return merged(TRAINER, change)


@settings(max_examples=400)
@given(data=st.data())
def test_model_and_schema_refuse_the_same_values(data: st.DataObject) -> None:
    path, schema = data.draw(st.sampled_from(SCALARS))
    spec = changed(path, data.draw(scalars(schema)))
    try:
        model = TrainJobSpec.model_validate(spec)
    except ValidationError as error:
        # Rules over several fields are CEL's: a schema alone does not know them.
        by_rule = {e["type"] for e in error.errors()} == {"value_error"}
        assert by_rule or not VALIDATOR.is_valid(spec), spec
    else:
        VALIDATOR.validate(spec)
        VALIDATOR.validate(as_json(model))
        assert TrainJobSpec.model_validate(as_json(model)) == model
