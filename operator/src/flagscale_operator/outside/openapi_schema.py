"""Schemas of an OpenAPI document as JSON Schema that needs no other document (pure)."""

import re
from collections.abc import Mapping
from typing import Any, Final

COMPONENTS: Final = "#/components/schemas/"
DEFINITIONS: Final = "#/$defs/"
_NO_KEYWORDS: Final = frozenset({"xml", "example", "externalDocs", "discriminator", "nullable"})
_DATA: Final = frozenset({"default", "const", "enum", "examples"})
_PLAIN: Final = re.compile(r"^[A-Za-z0-9_.-]+$")
Json = Mapping[str, Any]


class UnsupportedError(Exception):
    """An operation that can't become a tool, and why."""


class SchemaReader:
    """Rewrites schemas of one document; what they refer to is gathered in `definitions`."""

    def __init__(self, schemas: Json, *, is_3_0: bool) -> None:
        """`schemas` are components.schemas; 3.0 has a dialect of its own."""
        self._schemas = schemas
        self._is_3_0 = is_3_0
        self.definitions: dict[str, Any] = {}

    def read(self, schema: Any) -> Any:  # noqa: ANN401 - any JSON
        """The schema in 2020-12, its references pointing to `definitions`.

        Raises:
            UnsupportedError: it refers to what is not in components.schemas.
        """
        if isinstance(schema, list):
            return [self.read(one) for one in schema]
        if not isinstance(schema, Mapping):
            return schema
        read = {
            key: value if key in _DATA else self._keyword(key, value)
            for key, value in schema.items()
            if key not in _NO_KEYWORDS and not str(key).startswith("x-")
        }
        return self._from_3_0(schema, read) if self._is_3_0 else read

    def _keyword(self, key: str, value: Any) -> Any:  # noqa: ANN401 - any JSON
        if key == "$ref" and isinstance(value, str):
            return self._reference(value)
        if key in ("properties", "patternProperties", "$defs", "dependentSchemas") and isinstance(
            value, Mapping
        ):
            # Keys are names here: an argument may well be called `example`.
            return {name: self.read(one) for name, one in value.items()}
        return self.read(value)

    def _reference(self, to: str) -> str:
        name = to.removeprefix(COMPONENTS)
        if name == to or name not in self._schemas or not _PLAIN.match(name):
            msg = f"refers to {to[:100]}; only {COMPONENTS}<name> is followed"
            raise UnsupportedError(msg)
        if name not in self.definitions:
            self.definitions[name] = True  # so that a schema may refer to itself
            self.definitions[name] = self.read(self._schemas[name])
        return DEFINITIONS + name

    @staticmethod
    def _from_3_0(schema: Json, read: dict[str, Any]) -> dict[str, Any]:
        """As 3.1 says it: nullable is a type, an exclusive bound is a number of its own."""
        for bound, exclusive in (
            ("minimum", "exclusiveMinimum"),
            ("maximum", "exclusiveMaximum"),
        ):
            is_flag = isinstance(read.get(exclusive), bool)
            if is_flag and read.pop(exclusive) and bound in read:
                read[exclusive] = read.pop(bound)
        if schema.get("nullable") is True and isinstance(read.get("type"), str):
            read["type"] = [read["type"], "null"]
            if "enum" in read and None not in read["enum"]:
                read["enum"] = [*read["enum"], None]
        return read
