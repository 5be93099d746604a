"""Whether the parameters of a tool are a JSON Schema that can be used (pure)."""

import json
from typing import Any, Final

import jsonschema_rs

from flagscale_api.v1alpha1.tool_parameters import (
    PARAMETERS_BYTES,
    PARAMETERS_DEPTH,
    ToolParameters,
)
from flagscale_api.v1alpha1.tool_text import hidden_in

# Schemas are untrusted: their regular expressions get a bound, as in the matcher.
_PATTERNS: Final = jsonschema_rs.FancyRegexOptions(backtrack_limit=10_000, size_limit=1 << 20)
_SHOWN: Final = 300


def fault_in(parameters: ToolParameters) -> str | None:
    """What is wrong with a schema, naming the field; None: nothing."""
    schema = parameters.as_schema()
    seen = _first_bad_text(schema, "spec.parameters")
    if seen:
        return seen
    size = len(json.dumps(schema, separators=(",", ":"), ensure_ascii=False).encode())
    if size > PARAMETERS_BYTES:
        return (
            f"spec.parameters: at most {PARAMETERS_BYTES} bytes of JSON, got {size}; shorten its "
            "descriptions, or split the tool"
        )
    try:
        jsonschema_rs.validator_for(schema, retriever=_refuse, pattern_options=_PATTERNS)
    except jsonschema_rs.ValidationError as error:
        where = ".".join(map(str, ("spec.parameters", *error.instance_path)))
        return f"{where}: no valid JSON Schema: {error.message[:_SHOWN]}; correct it"
    except ValueError as error:
        return f"spec.parameters: no valid JSON Schema: {str(error)[:_SHOWN]}; correct it"
    return None


def _refuse(uri: str) -> dict[str, Any]:
    msg = f"schemas of other documents are not fetched, got {uri}"
    raise ValueError(msg)


def _first_bad_text(schema: dict[str, Any], root: str) -> str | None:
    """The first text, keys included, that has something hidden in it, or is too deep inside."""
    pending: list[tuple[str, Any, int]] = [(root, schema, 1)]
    while pending:
        where, node, depth = pending.pop()
        if depth > PARAMETERS_DEPTH:
            return f"{root}: nested more than {PARAMETERS_DEPTH} deep; make it flatter"
        if isinstance(node, str):
            found = hidden_in(node)
            if found:
                return (
                    f"{where}: has the hidden character {found}; a reader does not see it, and a "
                    "model does: remove it"
                )
        elif isinstance(node, dict):
            pending += [(where, key, depth) for key in node]
            pending += [(f"{where}.{key}"[:_SHOWN], v, depth + 1) for key, v in node.items()]
        elif isinstance(node, list):
            pending += [(f"{where}[{index}]", v, depth + 1) for index, v in enumerate(node)]
    return None
