"""A tool as the matcher sees it: cleaned, bounded and immutable."""

import hashlib
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

NAME_CHARACTERS = 256
TEXT_CHARACTERS = 4096
PARAMETERS = 128
EXAMPLES = 64
SCHEMA_DEPTH = 4


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument of a tool; of nested objects, the path (`user.name`)."""

    name: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Tool:
    """What can be found. Build it with `Tool.create`, which cleans untrusted text."""

    name: str
    description: str = ""
    namespace: str = ""
    server: str = ""
    category: str = ""
    tags: tuple[str, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    examples: tuple[str, ...] = ()
    """Requests that this tool answers, in users' words."""
    access: frozenset[str] = frozenset()
    """Who may see it, as subjects or groups; empty: everyone."""
    healthy: bool = True

    @property
    def key(self) -> str:
        """`namespace/server/name`: equal names of two servers are two tools."""
        return f"{self.namespace}/{self.server}/{self.name}"

    @classmethod
    def create(
        cls,
        name: str,
        description: str = "",
        *,
        input_schema: Mapping[str, Any] | None = None,
        parameters: Iterable[Parameter] = (),
        **other: Any,
    ) -> "Tool":
        """A tool from texts that nobody has checked.

        Control characters go, lengths are cut, parameters are read from a JSON Schema.

        Raises:
            ValueError: the name is empty once cleaned, or a field is unknown.
        """
        unknown = set(other) - {field.name for field in fields(cls)}
        if unknown:
            msg = f"tool {name!r}: unknown field, got {sorted(unknown)}; leave it out"
            raise ValueError(msg)
        found = (*parameters, *schema_parameters(input_schema or {}))
        cleaned: Any = {key: _clean_field(key, value) for key, value in other.items()}
        tool = cls(
            name=clean(name, NAME_CHARACTERS),
            description=clean(description, TEXT_CHARACTERS),
            parameters=tuple(
                Parameter(clean(one.name, NAME_CHARACTERS), clean(one.description, TEXT_CHARACTERS))
                for one in found[:PARAMETERS]
            ),
            **cleaned,
        )
        if not tool.name:
            msg = f"tool: a name is needed, got {name!r}; use letters"
            raise ValueError(msg)
        return tool

    def text_digest(self) -> str:
        """Digest of all that is embedded; fields carry their length, so none run together."""
        digest = hashlib.sha256()
        pairs = [text for one in self.parameters for text in (one.name, one.description)]
        for part in (self.name, self.description, self.server, self.category, *self.tags, *pairs):
            data = part.encode()
            digest.update(len(data).to_bytes(4, "big") + data)
        return digest.hexdigest()


def clean(text: str, limit: int) -> str:
    """Text without control or formatting characters, spaces collapsed, at most `limit` long."""
    # Twice the limit: what is dropped or collapsed must not cost a scan of a megabyte.
    cut = unicodedata.normalize("NFKC", text[: 2 * limit])
    kept = "".join(" " if unicodedata.category(c) in {"Cc", "Cf", "Cs"} else c for c in cut)
    return " ".join(kept.split())[:limit]


def schema_parameters(schema: Mapping[str, Any], depth: int = SCHEMA_DEPTH) -> list[Parameter]:
    """Arguments that a JSON Schema names, nested ones by path; never more than `PARAMETERS`."""
    found: list[Parameter] = []
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return found
    for name, value in properties.items():
        if len(found) >= PARAMETERS:
            break
        inner = value if isinstance(value, Mapping) else {}
        found.append(Parameter(str(name), str(inner.get("description") or "")))
        nested = inner.get("items") if isinstance(inner.get("items"), Mapping) else inner
        if depth > 1 and isinstance(nested, Mapping):
            found += [
                Parameter(f"{name}.{one.name}", one.description)
                for one in schema_parameters(nested, depth - 1)
            ]
    return found[:PARAMETERS]


def _clean_field(name: str, value: Any) -> object:  # noqa: ANN401 - checked by its field's name
    match name:
        case "tags":
            return tuple(clean(tag, NAME_CHARACTERS) for tag in tuple(value)[:EXAMPLES])
        case "examples":
            return tuple(clean(one, TEXT_CHARACTERS) for one in tuple(value)[:EXAMPLES])
        case "access":
            return frozenset(value)
        case "healthy":
            return bool(value)
        case _:
            return clean(value, NAME_CHARACTERS)
