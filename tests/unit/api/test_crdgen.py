from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from flagscale_api import crdgen
from flagscale_api.schema import structural_schema
from flagscale_api.v1alpha1.agent_tool import AgentToolSpec
from flagscale_api.v1alpha1.agent_tool_source import AgentToolSourceSpec
from flagscale_api.v1alpha1.inference_service import InferenceServiceSpec
from flagscale_api.v1alpha1.train_job import TrainJobSpec

Schema = dict[str, Any]
CRDS = {kind.kind: crdgen.custom_resource_definition(kind) for kind in crdgen.KINDS}
VERSIONS = {kind: crd["spec"]["versions"][0] for kind, crd in CRDS.items()}
ROOTS: dict[str, Schema] = {k: v["schema"]["openAPIV3Schema"] for k, v in VERSIONS.items()}
SPECS: dict[str, Schema] = {kind: root["properties"]["spec"] for kind, root in ROOTS.items()}
TYPES = {"object", "array", "string", "integer", "number", "boolean"}
# What OpenAPI v3 knows but a structural schema of Kubernetes does not take at a node.
FORBIDDEN = {"$ref", "anyOf", "oneOf", "allOf", "not", "nullable", "title", "const", "$defs",
             "patternProperties", "uniqueItems", "discriminator"}  # fmt: skip
BY_TYPE = {
    "object": {"properties", "additionalProperties", "required", "maxProperties", "minProperties",
               "x-kubernetes-preserve-unknown-fields"},
    "array": {"items", "maxItems", "minItems", "x-kubernetes-list-type",
              "x-kubernetes-list-map-keys"},
    "string": {"pattern", "maxLength", "minLength", "enum"},
    "integer": {"format", "minimum", "maximum"},
    "number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"},
    "boolean": set(),
}  # fmt: skip
EVERYWHERE = {"type", "description", "default", "x-kubernetes-validations"}


def nodes(schema: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from nodes(schema["additionalProperties"], f"{path}[*]")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")


def fields_of(kind: str) -> Iterator[tuple[str, Schema]]:
    for root in ("spec", "status"):
        yield from nodes(ROOTS[kind]["properties"][root], root)


def fields() -> Iterator[tuple[str, Schema]]:
    for kind in ROOTS:
        yield from fields_of(kind)


def spec_fields() -> Iterator[tuple[str, Schema]]:
    for spec in SPECS.values():
        yield from nodes(spec, "spec")


def typed_fields() -> Iterator[tuple[str, Schema]]:
    """All but values of several scalar types, which a structural schema can't tell apart."""
    return ((p, n) for p, n in fields() if n != {"x-kubernetes-preserve-unknown-fields": True})


def test_the_schema_is_structural() -> None:
    for path, node in typed_fields():
        assert node["type"] in TYPES, path
        assert not set(node) & FORBIDDEN, path
        assert set(node) <= EVERYWHERE | BY_TYPE[node["type"]], path
        assert not {"properties", "additionalProperties"} <= set(node), path


def test_every_object_says_what_it_holds() -> None:
    for path, node in typed_fields():
        if node["type"] == "object":
            keys = {"properties", "additionalProperties", "x-kubernetes-preserve-unknown-fields"}
            # JSON Schemas of tools: some keywords are bounded, all are kept.
            wanted = 2 if path == "spec.parameters" else 1
            assert len(keys & set(node)) == wanted, path


def test_every_field_is_described_in_a_sentence() -> None:
    for path, node in fields():
        if not path.endswith(("[]", "[*]")):
            assert node.get("description", "").endswith((".", "}", ".*")), path


def test_the_spec_is_bounded_everywhere() -> None:
    for path, node in spec_fields():
        if node.get("type") == "string" and "enum" not in node:
            assert "maxLength" in node, path
        assert node.get("type") != "array" or "maxItems" in node, path
        assert "additionalProperties" not in node or "maxProperties" in node, path


def test_integers_have_a_format() -> None:
    assert all(n.get("format") == "int64" for _, n in fields() if n.get("type") == "integer")


def test_objects_of_defaults_have_their_defaults_in_full() -> None:
    for path, node in spec_fields():
        if isinstance(node.get("default"), dict) and "properties" in node:
            children = node["properties"].items()
            told = {name: child["default"] for name, child in children if "default" in child}
            assert node["default"] == told, path
            assert not node.get("required"), path


def test_elements_of_lists_and_maps_have_no_default() -> None:
    assert not [p for p, n in fields() if p.endswith(("[]", "[*]")) and "default" in n]


def test_a_status_has_no_defaults() -> None:
    status = ((p, n) for p, n in fields() if p.startswith("status"))
    assert not [path for path, node in status if "default" in node]


@pytest.mark.parametrize(
    ("path", "key"),
    [("spec.env", "name"), ("status.conditions", "type"), ("status.attempts", "number")],
)
def test_lists_of_named_things_are_maps(path: str, key: str) -> None:
    node = dict(fields_of("TrainJob"))[path]
    assert node["x-kubernetes-list-type"] == "map"
    assert node["x-kubernetes-list-map-keys"] == [key]
    assert key in node["items"]["required"]


def test_field_paths_of_rules_exist() -> None:
    known = dict(fields())
    for path, node in fields():
        for rule in node.get("x-kubernetes-validations", ()):
            wanted = f"{path}{rule.get('fieldPath', '')}"
            assert wanted in known, rule["message"]
            assert rule["message"].startswith(f"{wanted}"), rule["message"]


def test_rules_without_transition_also_hold_in_python() -> None:
    specs = (TrainJobSpec, InferenceServiceSpec, AgentToolSpec, AgentToolSourceSpec)
    for rule in (rule for spec in specs for rule in spec.cel_rules):
        assert ("oldSelf" in rule.rule) == (rule.holds is None), rule.message


@pytest.mark.parametrize("kind", CRDS)
def test_columns_point_at_fields(kind: str) -> None:
    known = {f".{path}" for path, _ in fields_of(kind)} | {".metadata.creationTimestamp"}
    ready = '.status.conditions[?(@.type=="Ready")]'
    known |= {path.replace(".status.conditions[]", ready) for path in known}
    assert {c["jsonPath"] for c in VERSIONS[kind]["additionalPrinterColumns"]} <= known


@pytest.mark.parametrize("kind", CRDS)
def test_status_is_a_subresource_and_the_category_is_ours(kind: str) -> None:
    assert VERSIONS[kind]["subresources"]["status"] == {}
    assert CRDS[kind]["spec"]["names"]["categories"] == ["flagscale"]
    assert ROOTS[kind]["required"] == ["spec"]


def test_an_inference_service_can_be_scaled() -> None:
    assert "scale" not in VERSIONS["TrainJob"]["subresources"]
    assert VERSIONS["InferenceService"]["subresources"]["scale"] == {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas.current",
        "labelSelectorPath": ".status.selector",
    }


def test_a_required_object_has_no_default_that_its_own_rules_refuse() -> None:
    for path, node in fields():
        for name in node.get("required", ()):
            assert "default" not in node["properties"][name], f"{path}.{name}"


def test_generated_files_are_current() -> None:
    assert crdgen.stale_files(crdgen.ROOT) == []


def test_a_stale_file_is_told_as_a_diff(tmp_path: Path) -> None:
    for path, text in crdgen.generated_files().items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text.replace("maximum: 512", "maximum: 5"))
    assert "-                maximum: 5" in crdgen.stale_files(tmp_path)


def test_uninstalling_the_chart_keeps_the_crd() -> None:
    for path, text in crdgen.generated_files().items():
        annotations = yaml.safe_load(text)["metadata"].get("annotations", {})
        assert ("keep" in annotations.values()) == path.is_relative_to("charts")


def test_the_schema_is_the_same_every_time() -> None:
    assert structural_schema(TrainJobSpec) == structural_schema(TrainJobSpec)
