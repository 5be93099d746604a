from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from flagscale_workloads.inference.simulator.instances import SchemaError, smallest_instance

NUMBERS = st.builds(
    lambda kind, low, size, strict: {
        "type": kind,
        ("exclusiveMinimum" if strict else "minimum"): low,
        "maximum": low + size,
    },
    st.sampled_from(["integer", "number"]),
    st.integers(-100, 100),
    st.integers(1, 50),
    st.booleans(),
)
STRINGS = st.builds(
    lambda low, size: {"type": "string", "minLength": low, "maxLength": low + size},
    st.integers(0, 9),
    st.integers(0, 9),
)
LEAVES = st.one_of(
    NUMBERS,
    STRINGS,
    st.sampled_from(["boolean", "null", "string", "integer"]).map(lambda kind: {"type": kind}),
    st.lists(st.text(max_size=3) | st.integers(), min_size=1).map(lambda v: {"enum": v}),
    st.integers().map(lambda value: {"const": value}),
    st.sampled_from(["date", "date-time", "email", "uuid"]).map(
        lambda name: {"type": "string", "format": name}
    ),
    st.integers(1, 9).map(lambda n: {"type": "integer", "minimum": 5, "multipleOf": n}),
)


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    names = st.sampled_from("abcd")
    return st.one_of(
        st.builds(
            lambda p, more: {"type": "object", "properties": p, "required": [*p][: more + 1],
                             "additionalProperties": False},
            st.dictionaries(names, inner, max_size=3), st.integers(0, 3),
        ),
        st.builds(lambda i, n: {"type": "array", "items": i, "minItems": n}, inner,
                  st.integers(0, 3)),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"anyOf": parts}),
        inner.map(lambda part: {"$defs": {"x": True}, "allOf": [part]}),
    )  # fmt: skip


@given(st.recursive(LEAVES, _nested, max_leaves=8))
def test_the_instance_satisfies_its_schema(schema: dict[str, Any]) -> None:
    jsonschema.validate(
        smallest_instance(schema), schema, format_checker=jsonschema.FormatChecker()
    )


class Address(BaseModel):
    street: str = Field(min_length=3)
    city: str | None


class Person(BaseModel):
    age: int = Field(gt=17, lt=99)
    home: Address
    others: list[Address] = Field(min_length=2)
    friends: list["Person"]


def test_schemas_of_pydantic_are_understood() -> None:
    Person.model_validate(smallest_instance(Person.model_json_schema()))


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "string", "pattern": "x"}, r"\$: unsupported keyword 'pattern'"),
        ({"required": ["a"], "properties": {"a": {"not": {}}}}, r"\$\.a: .* 'not'"),
        ({"type": "string", "format": "iri"}, "unsupported format 'iri'"),
        ({"type": "thing"}, r"type: not a type of JSON, got 'thing'"),
        ({"$ref": "#/$defs/absent"}, "leads nowhere"),
        ({"$ref": "#"}, "too deep"),
        ({"type": "array", "minItems": 10**9}, "not possible"),
        ({"type": "integer", "minimum": 3, "maximum": 2}, "no number"),
        ({"type": "string", "minLength": "two"}, "not a valid JSON Schema"),
        ({"required": ["a"], "additionalProperties": False}, "not a schema that allows"),
    ],
)
def test_what_is_outside_the_subset_is_refused_by_name(
    schema: dict[str, Any], message: str
) -> None:
    with pytest.raises(SchemaError, match=message):
        smallest_instance(schema)
