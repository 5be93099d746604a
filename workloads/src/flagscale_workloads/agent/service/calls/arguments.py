"""Arguments against a tool's JSON Schema, before anything leaves.

Schemas and arguments are both untrusted: regular expressions are matched with bounded backtracking,
and a schema that refers to another document is refused, never fetched.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

import jsonschema_rs

from flagscale_api.v1alpha1.tool_parameters import ToolParameters
from flagscale_workloads.agent.service.errors import ServiceError
from flagscale_workloads.agent.tool_match.recent import Recent

SHOWN: Final = 5
SHOWN_CHARACTERS: Final = 300
SCHEMAS: Final = 2048
_PATTERNS: Final = jsonschema_rs.FancyRegexOptions(backtrack_limit=10_000, size_limit=1 << 20)


class ArgumentCheck:
    """Keeps the compiled schemas of the tools that were called last."""

    def __init__(self) -> None:
        self._compiled: Recent[jsonschema_rs.Validator] = Recent(SCHEMAS)

    def check(self, parameters: ToolParameters, arguments: Mapping[str, Any]) -> None:
        """Compare. Raises ServiceError 422 that names each argument."""
        schema = parameters.as_schema()
        key = json.dumps(schema, sort_keys=True)
        validator = self._compiled.get(key)
        if validator is None:
            validator = compile_schema(schema)
            self._compiled.put(key, validator)
        told = []
        for error in validator.iter_errors(dict(arguments)):
            told.append(_told(error))
            if len(told) == SHOWN:
                break
        if told:
            raise ServiceError(422, "invalid_arguments", "; ".join(told))


def compile_schema(schema: Mapping[str, Any]) -> jsonschema_rs.Validator:
    """A validator. Raises ServiceError 502: the tool's schema is at fault, not the caller."""
    try:
        return jsonschema_rs.validator_for(
            dict(schema), retriever=_refuse, pattern_options=_PATTERNS
        )
    except (jsonschema_rs.ValidationError, ValueError) as error:
        why = str(error).splitlines()[0][:SHOWN_CHARACTERS]
        message = f"tool: its schema can't be used ({why}); correct the AgentTool"
        raise ServiceError(502, "bad_schema", message) from error


def _refuse(uri: str) -> Any:  # noqa: ANN401 - what jsonschema-rs wants
    msg = f"schemas of other documents are not fetched, got {uri}"
    raise ValueError(msg)


def _told(error: jsonschema_rs.ValidationError) -> str:
    where = ".".join(map(str, ("arguments", *error.instance_path)))
    return f"{where}: {error.message[:SHOWN_CHARACTERS]}"
