"""What tests of every spec need: strict schemas, changed specs, values around bounds."""

import copy
import json
from typing import Any

from hypothesis import strategies as st

from flagscale_api.meta import ApiModel


def draft_4(node: Any) -> Any:
    """The schema with unknown fields refused, as the API server does with strict validation."""
    if isinstance(node, list):
        return [draft_4(v) for v in node]
    if not isinstance(node, dict):
        return node
    strict = {key: draft_4(value) for key, value in node.items()}
    open_ = node.get("x-kubernetes-preserve-unknown-fields")
    if isinstance(strict.get("properties"), dict) and strict.get("type") == "object" and not open_:
        strict["additionalProperties"] = False
    return strict


def as_json(spec: ApiModel) -> Any:
    """A spec as the API server stores it."""
    return json.loads(spec.model_dump_json(by_alias=True, exclude_none=True))


def merged(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """A copy with a change merged in."""
    result = copy.deepcopy(base)
    for key, value in change.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


def leaves(schema: dict[str, Any], path: str = "") -> set[str]:
    """Paths of all fields that hold values."""
    found: set[str] = set()
    for name, child in schema.get("properties", {}).items():
        inner = child.get("items", child.get("additionalProperties", child))
        found |= leaves(inner, f"{path}.{name}") or {f"{path}.{name}"}
    return found


def used(value: Any, schema: dict[str, Any], path: str = "") -> set[str]:
    """Paths of the fields that a value sets."""
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
    """Path and schema of every scalar field."""
    found: list[tuple[tuple[str, ...], Any]] = []
    for name, child in schema.get("properties", {}).items():
        below = paths(child, (*at, name))
        scalar = child.get("type", "object") not in ("object", "array")
        found += [((*at, name), child)] if scalar else below
    return found
