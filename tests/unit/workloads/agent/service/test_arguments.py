from typing import Any

import pytest

from flagscale_api.v1alpha1.tool_parameters import ToolParameters
from flagscale_workloads.agent.service.calls.arguments import ArgumentCheck
from flagscale_workloads.agent.service.errors import ServiceError


def check(schema: dict[str, Any], arguments: dict[str, Any]) -> None:
    ArgumentCheck().check(ToolParameters.model_validate(schema), arguments)


def test_every_wrong_argument_is_named() -> None:
    schema = {
        "properties": {"city": {"type": "string"}, "at": {"properties": {"day": {"minimum": 1}}}},
        "required": ["unit"],
        "additionalProperties": False,
    }
    with pytest.raises(ServiceError) as refused:
        check(schema, {"city": 5, "at": {"day": 0}})
    assert refused.value.status == 422
    for told in ("arguments.city: 5 is not of type", "arguments.at.day:", '"unit" is a required'):
        assert told in refused.value.message


def test_arguments_that_fit_pass() -> None:
    check({"properties": {"n": {"type": "integer"}}, "required": ["n"]}, {"n": 5})
    check({}, {})


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(?=(a+)+b)(a+)+$"])
def test_a_malicious_pattern_does_not_hang(pattern: str) -> None:
    with pytest.raises(ServiceError, match="arguments"):
        check({"properties": {"x": {"pattern": pattern}}}, {"x": "a" * 5000 + "!"})


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"x": {"$ref": "http://127.0.0.1:1/schema"}}},
        {"properties": {"x": {"$ref": "#/$defs/none"}}},
        {"properties": {"x": {"type": "strin"}}},
        {"properties": {"x": {"pattern": "("}}},
    ],
)
def test_a_schema_that_is_wrong_or_elsewhere_is_the_tools_fault(schema: dict[str, Any]) -> None:
    with pytest.raises(ServiceError, match="its schema can't be used") as refused:
        check(schema, {"x": "y"})
    assert refused.value.code == "bad_schema"
