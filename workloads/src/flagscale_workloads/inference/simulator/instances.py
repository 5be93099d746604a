"""The smallest JSON value that a JSON Schema allows, for the keywords that engines are asked for.

A keyword outside the subset is refused by its name: a value that silently breaks it would make a
test of structured output pass for the wrong reason.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

Json: TypeAlias = Any
Schema = Mapping[str, Json]

_ANNOTATIONS: Final = frozenset({
    "$schema", "$id", "$comment", "$defs", "definitions", "title", "description", "default",
    "examples", "deprecated", "readOnly", "writeOnly", "discriminator",
})  # fmt: skip
_KEYWORDS: Final = frozenset({
    "$ref", "type", "enum", "const", "anyOf", "oneOf", "allOf", "properties", "required",
    "additionalProperties", "items", "prefixItems", "minItems", "maxItems", "minLength",
    "maxLength", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "multipleOf",
})  # fmt: skip
_FORMATS: Final = {
    "date-time": "2030-01-01T00:00:00Z",
    "date": "2030-01-01",
    "time": "00:00:00Z",
    "email": "a@example.com",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "uri": "http://example.com",
    "ipv4": "127.0.0.1",
    "ipv6": "::1",
}
_DEEPEST: Final = 64
_MOST_VALUES: Final = 10_000
_LONGEST: Final = 65_536


class SchemaError(Exception):
    """A schema outside the subset, or one that no value satisfies; the message says where."""


def smallest_instance(schema: Json) -> Json:
    """A value that satisfies the schema; SchemaError for what is not understood."""
    try:
        return _Builder(schema).build(schema, "$", 0)
    except (ArithmeticError, AttributeError, TypeError, ValueError) as error:
        raise SchemaError(f"$: not a valid JSON Schema ({error})") from error


class _Builder:
    def __init__(self, root: Json) -> None:
        self._root = root
        self._values = 0
        self._of_type: dict[str, Callable[[Schema, str, int], Json]] = {
            "object": self._object,
            "array": self._array,
            "string": _string,
            "integer": _number,
            "number": _number,
            "boolean": lambda schema, where, depth: False,
            "null": lambda schema, where, depth: None,
        }

    def build(self, schema: Json, where: str, depth: int) -> Json:
        if schema is True:
            return None
        if not isinstance(schema, Mapping):
            raise SchemaError(f"{where}: not a schema that allows a value, got {schema!r}")
        self._values += 1
        if depth > _DEEPEST or self._values > _MOST_VALUES:
            raise SchemaError(f"{where}: requires too deep or too large a value")
        for keyword in schema:
            if keyword not in _KEYWORDS | _ANNOTATIONS:
                raise SchemaError(f"{where}: unsupported keyword {keyword!r}")
        return self._value(schema, where, depth)

    def _value(self, schema: Schema, where: str, depth: int) -> Json:
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return _first(schema["enum"], f"{where}.enum")
        for keyword in ("$ref", "anyOf", "oneOf", "allOf"):
            if keyword in schema:
                return self._combined(schema, keyword, where, depth)
        kind = schema.get("type") or _implied_type(schema)
        kind = _first(kind, f"{where}.type") if isinstance(kind, list) else kind
        if not isinstance(kind, str) or kind not in self._of_type:
            raise SchemaError(f"{where}.type: not a type of JSON, got {kind!r}")
        return self._of_type[kind](schema, where, depth)

    def _resolve(self, reference: Json, where: str) -> Json:
        target = self._root
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise SchemaError(f"{where}: only references within the schema, got {reference!r}")
        for part in reference[1:].split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(target, Mapping) or name not in target:
                raise SchemaError(f"{where}: leads nowhere, got {reference!r}")
            target = target[name]
        return target

    def _combined(self, schema: Schema, keyword: str, where: str, depth: int) -> Json:
        """A choice takes its first alternative, joined with what stands beside it."""
        where = f"{where}.{keyword}"
        parts = schema[keyword]
        if keyword == "allOf" and len(parts) > 1:
            raise SchemaError(f"{where}: only one schema is supported, got {len(parts)}")
        first = self._resolve(parts, where) if keyword == "$ref" else _first(parts, where)
        beside = {k: v for k, v in schema.items() if k != keyword and k not in _ANNOTATIONS}
        if not beside:
            return self.build(first, where, depth + 1)
        if not isinstance(first, Mapping) or any(first.get(k, v) != v for k, v in beside.items()):
            raise SchemaError(f"{where}: can't be joined with {', '.join(beside)}")
        return self.build({**first, **beside}, where, depth + 1)

    def _object(self, schema: Schema, where: str, depth: int) -> dict[str, Json]:
        properties = schema.get("properties", {})
        value = {}
        for name in schema.get("required", []):
            inner = properties.get(name, schema.get("additionalProperties", True))
            value[name] = self.build(inner, f"{where}.{name}", depth + 1)
        return value

    def _array(self, schema: Schema, where: str, depth: int) -> list[Json]:
        places = schema.get("prefixItems", [])
        least = schema.get("minItems", 0)
        most = schema.get("maxItems")
        if least > _MOST_VALUES or (most is not None and least > most):
            raise SchemaError(f"{where}.minItems: not possible, got {least}")
        inner = [places[i] if i < len(places) else schema.get("items", True) for i in range(least)]
        return [self.build(item, f"{where}[{i}]", depth + 1) for i, item in enumerate(inner)]


def _first(values: Json, where: str) -> Json:
    if not isinstance(values, list) or not values:
        raise SchemaError(f"{where}: not a list with a first value, got {values!r}")
    return values[0]


def _implied_type(schema: Schema) -> str:
    """The type that the keywords speak of."""
    if {"properties", "required", "additionalProperties"} & set(schema):
        return "object"
    if {"items", "prefixItems", "minItems", "maxItems"} & set(schema):
        return "array"
    if {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"} & set(schema):
        return "number"
    return "string"


def _string(schema: Schema, where: str, depth: int) -> str:
    del depth
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    name = schema.get("format")
    if name is not None and name not in _FORMATS:
        raise SchemaError(f"{where}: unsupported format {name!r}")
    text = _FORMATS[name] if name else "x" * min(least, _LONGEST)
    if len(text) < least or (most is not None and len(text) > most):
        raise SchemaError(f"{where}: no string has these lengths, got {least} to {most}")
    return text


def _number(schema: Schema, where: str, depth: int) -> float | int:
    """The value nearest to 0 on the grid of multipleOf that lies within the bounds."""
    del depth
    whole = schema.get("type") == "integer"
    grid = schema.get("multipleOf", 1 if whole else None)
    low = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf))
    high = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf))
    for value in _candidates(low, high, grid):
        inside = schema.get("minimum", value) <= value <= schema.get("maximum", value)
        above = "exclusiveMinimum" not in schema or value > schema["exclusiveMinimum"]
        below = "exclusiveMaximum" not in schema or value < schema["exclusiveMaximum"]
        if inside and above and below and (not whole or value == int(value)):
            return int(value) if value == int(value) else value
    raise SchemaError(f"{where}: no number lies within the bounds, got {low} to {high}")


def _candidates(low: float, high: float, grid: float | None) -> list[float]:
    if low <= 0 <= high:
        start: float = 0
    else:
        start = low if low > 0 else high
    if grid is None:
        middle = (low + high) / 2 if math.isfinite(low + high) else start
        return [start, start + 1, start - 1, middle]
    first = math.floor(start / grid)
    return [(first + i) * grid for i in (0, 1, -1, 2)]
