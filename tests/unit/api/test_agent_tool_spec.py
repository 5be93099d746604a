"""The models and the generated schemas agree on what tools and sources may say."""

from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from flagscale_api.crdgen import ROOT
from flagscale_api.meta import ApiModel
from flagscale_api.schema import structural_schema
from flagscale_api.v1alpha1.agent_tool import AgentToolSpec
from flagscale_api.v1alpha1.agent_tool_source import AgentToolSourceSpec
from flagscale_api.v1alpha1.tool_text import HIDDEN, hidden_in
from support.agent_tools import HTTP, SOURCE, SPEC
from support.spec_schema import as_json, draft_4, leaves, merged, paths, scalars, used

MODELS: dict[str, type[ApiModel]] = {
    "AgentTool": AgentToolSpec,
    "AgentToolSource": AgentToolSourceSpec,
}
SCHEMAS = {kind: structural_schema(model) for kind, model in MODELS.items()}
VALIDATORS = {kind: jsonschema.Draft4Validator(draft_4(SCHEMAS[kind])) for kind in MODELS}
BASES = {"AgentTool": merged(SPEC, HTTP), "AgentToolSource": SOURCE}
SAMPLES = [
    one
    for path in sorted(ROOT.glob("crds/samples/agenttool*.yaml"))
    for one in yaml.safe_load_all(path.read_text())
]


@pytest.mark.parametrize("body", SAMPLES, ids=lambda one: one["metadata"]["name"])
def test_samples_are_valid_by_model_and_schema(body: dict[str, Any]) -> None:
    kind = body["kind"]
    VALIDATORS[kind].validate(body["spec"])
    VALIDATORS[kind].validate(as_json(MODELS[kind].model_validate(body["spec"])))


@pytest.mark.parametrize("kind", MODELS)
def test_the_samples_use_every_field(kind: str) -> None:
    specs = [body["spec"] for body in SAMPLES if body["kind"] == kind]
    shown = set().union(*(used(spec, SCHEMAS[kind]) for spec in specs))
    # Of a schema of parameters it is what tools never need to say.
    assert leaves(SCHEMAS[kind]) - shown - {".parameters.type"} == set()


def test_a_tool_without_an_endpoint_is_a_function() -> None:
    tool = AgentToolSpec.model_validate(SPEC)
    assert (tool.kind, tool.effective_server, tool.effective_name("wc")) == ("function", "", "wc")


def test_the_server_is_that_of_the_endpoint_unless_told() -> None:
    said = merged(SPEC, {"mcp": {"url": "https://Tools.example.org:8443/mcp"}})
    assert AgentToolSpec.model_validate(said).effective_server == "tools.example.org:8443"
    assert AgentToolSpec.model_validate({**said, "server": "files"}).effective_server == "files"


def test_a_schema_keeps_every_keyword_and_gets_none() -> None:
    schema = {"properties": {"a": True}, "oneOf": [{"required": ["a"]}], "additional_x": 1}
    for extra in (None, "ignore"):
        tool = AgentToolSpec.model_validate({**SPEC, "parameters": schema}, extra=extra)  # type: ignore[arg-type]
        assert tool.parameters.as_schema() == {"type": "object", **schema}
        assert as_json(tool)["parameters"] == tool.parameters.as_schema()


@given(st.text(max_size=40))
def test_hidden_characters_are_found_by_their_category(text: str) -> None:
    """What is refused has no picture; letters of every script, tabs and line ends pass."""
    seen = [c for c in text if HIDDEN.match(c)]
    assert (hidden_in(text) is None) == (not seen)
    assert all(not c.isprintable() and c not in "\t\n\r" for c in seen)


@settings(max_examples=300)
@given(data=st.data())
def test_model_and_schema_refuse_the_same_values(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(MODELS)))
    path, schema = data.draw(st.sampled_from(paths(SCHEMAS[kind])))
    change: Any = data.draw(scalars(schema))
    for name in reversed(path):
        change = {name: change}
    spec = merged(BASES[kind], change)
    try:
        model = MODELS[kind].model_validate(spec)
    except ValidationError as error:
        # Rules over several fields are CEL's: a schema alone does not know them.
        by_rule = {e["type"] for e in error.errors()} == {"value_error"}
        assert by_rule or not VALIDATORS[kind].is_valid(spec), spec
    else:
        VALIDATORS[kind].validate(spec)
        assert MODELS[kind].model_validate(as_json(model)) == model
