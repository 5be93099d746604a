"""The model and the generated schema agree on what a TrainJob may say."""

import copy
import json
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

SCHEMA = structural_schema(TrainJobSpec)
SAMPLES = sorted(ROOT.glob("crds/samples/**/trainjob*.yaml"))
TRAINER: dict[str, Any] = {
    "trainer": {"data": {"path": "/data/corpus.txt"}, "output": {"path": "/data/out"}},
    "volumes": {"data": {"claimName": "claim", "mountPath": "/data"}},
}
SCRIPT: dict[str, Any] = {"image": "i", "command": ["c"]}


def draft_4(node: Any) -> Any:
    """The schema with unknown fields refused, as the API server does with strict validation."""
    if isinstance(node, list):
        return [draft_4(v) for v in node]
    if not isinstance(node, dict):
        return node
    strict = {key: draft_4(value) for key, value in node.items()}
    if isinstance(strict.get("properties"), dict) and strict.get("type") == "object":
        strict["additionalProperties"] = False
    return strict


VALIDATOR = jsonschema.Draft4Validator(draft_4(SCHEMA))


def as_json(spec: TrainJobSpec) -> Any:
    return json.loads(spec.model_dump_json(by_alias=True, exclude_none=True))


def merged(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    result = copy.deepcopy(base)
    for key, value in change.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_samples_are_valid_by_model_and_schema(sample: Path) -> None:
    spec = yaml.safe_load(sample.read_text())["spec"]
    VALIDATOR.validate(spec)
    VALIDATOR.validate(as_json(TrainJobSpec.model_validate(spec)))


def leaves(schema: dict[str, Any], path: str = "") -> set[str]:
    found: set[str] = set()
    for name, child in schema.get("properties", {}).items():
        inner = child.get("items", child.get("additionalProperties", child))
        found |= leaves(inner, f"{path}.{name}") or {f"{path}.{name}"}
    return found


def used(value: Any, schema: dict[str, Any], path: str = "") -> set[str]:
    found = set()
    for name, child in schema.get("properties", {}).items():
        if name not in value:
            continue
        inner, part = child, [value[name]]
        if "items" in child:
            inner, part = child["items"], value[name]
        elif "additionalProperties" in child:
            inner, part = child["additionalProperties"], list(value[name].values())
        below = {p for v in part for p in used(v, inner, f"{path}.{name}")}
        found |= below if "properties" in inner else {f"{path}.{name}"}
    return found


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


@st.composite
def scalars(draw: st.DrawFn, schema: dict[str, Any]) -> Any:
    """A value around the bounds of a scalar: often just outside of them."""
    if "enum" in schema:
        return draw(st.sampled_from([*schema["enum"], "other"]))
    low, high = schema.get("minimum", 0), schema.get("maximum", 1000)
    if schema["type"] == "integer":
        return draw(st.sampled_from([low - 1, low, low + 1, high - 1, high, high + 1]))
    if schema["type"] == "number":
        return draw(st.sampled_from([low - 0.5, low, (low + high) / 2, high, high + 0.5]))
    if schema["type"] == "boolean":
        return draw(st.booleans())
    return draw(st.text(alphabet="aB1-./ _:M", max_size=8))


def paths(schema: dict[str, Any], at: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    found = []
    for name, child in schema.get("properties", {}).items():
        below = paths(child, (*at, name))
        scalar = child["type"] not in ("object", "array")
        found += [((*at, name), child)] if scalar else below
    return found


SCALARS = paths({**SCHEMA, "properties": {**SCHEMA["properties"], "script": {"type": "object"}}})


def changed(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    change: Any = value
    for name in reversed(path):
        change = {name: change}
    return merged(TRAINER, change)


@settings(deadline=None, max_examples=400)
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
