"""The OpenAPI document, from the models that requests are checked with."""

from typing import Any, Final

from pydantic import BaseModel

from flagscale_api.runtime.tool_index import INDEX_PATH
from flagscale_workloads.agent.service.messages import (
    AssignRequest,
    CallBody,
    CategoryRequest,
    DescribeRequest,
    ListRequest,
    MatchRequest,
    RenameRequest,
)

OPEN: Final = frozenset({"/ready", INDEX_PATH})
_JSON: Final = "application/json"
_SCHEMAS: Final = "#/components/schemas/"
_TEXT: Final = {"type": "string"}
_REFUSALS: Final = {
    "400": "Not valid; the error names the field.",
    "401": "The token is missing or not valid.",
    "403": "You may not do that, or the tool's address is forbidden.",
    "404": "There is no such tool, or you may not see it.",
    "405": "Another method is needed.",
    "409": "The tool's schema has changed and was not approved, or its file can't be changed.",
    "413": "The body is too large.",
    "422": "The arguments do not fit the tool's schema, or the tool can't be called.",
    "429": "Over a limit of yours; Retry-After tells when to come back.",
    "502": "The tool failed.",
    "503": "Too much to do, or the API server does not answer.",
    "504": "No answer in time.",
}


def document(version: str, *, tokens: bool) -> dict[str, Any]:
    """OpenAPI 3.1; `tokens` tells whether callers are asked for one."""
    named = [
        {"name": name, "in": "path", "required": True, "schema": _TEXT}
        for name in ("namespace", "name")
    ]
    paths = {
        "/v1/tools:match": {"post": _call("Find the tools that answer a request", MatchRequest)},
        "/v1/tools:explain": {
            "post": _call("The same with the scores of every arm, also of what was held back",
                          MatchRequest)
        },
        "/v1/tools": {"get": _page("List tools by server, in a fixed order", _query())},
        "/v1/tools/{namespace}/{name}": {"get": _page("Describe one tool", named)},
        "/v1/tools/{namespace}/{name}:call": {
            "post": _call("Call one tool", CallBody) | {"parameters": named}
        },
        "/v1/categories": {"get": _page("Categories and how many tools they have", [])},
        "/v1/categories:assign": {"post": _call("File tools under a category", AssignRequest)},
        "/v1/categories:rename": {"post": _call("Rename or merge a category", RenameRequest)},
        "/v1/categories:remove": {"post": _call("Take a category from its tools", CategoryRequest)},
        INDEX_PATH: {"get": _page("Which generation of each tool can be found", [])},
        "/ready": {"get": _page("Whether requests may come", [])},
    }  # fmt: skip
    shared = {one.__name__: one.model_json_schema() for one in (DescribeRequest,)}
    components: dict[str, Any] = {"schemas": {"Error": _error(), **shared}}
    found = {
        "openapi": "3.1.0",
        "info": {"title": "FlagScale: tools for agents", "version": version},
        "paths": paths,
        "components": components,
    }
    if tokens:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        for path, methods in paths.items():
            for operation in methods.values():
                operation["security"] = [] if path in OPEN else [{"token": []}]
    return found


def _call(summary: str, body: type[BaseModel]) -> dict[str, Any]:
    schema = body.model_json_schema(ref_template=f"{_SCHEMAS}{{model}}")
    schema.pop("$defs", None)  # they are among the document's components
    content = {_JSON: {"schema": schema}}
    return _page(summary, []) | {"requestBody": {"required": True, "content": content}}


def _page(summary: str, parameters: list[Any]) -> dict[str, Any]:
    error = {_JSON: {"schema": {"$ref": f"{_SCHEMAS}Error"}}}
    good = {"description": "The answer.", "content": {_JSON: {"schema": {"type": "object"}}}}
    refusals = {code: {"description": why, "content": error} for code, why in _REFUSALS.items()}
    return {
        "summary": summary,
        "parameters": parameters,
        "responses": {"200": good, **refusals},
    }


def _query() -> list[Any]:
    schema = ListRequest.model_json_schema()
    return [
        {"name": name, "in": "query", "schema": {k: v for k, v in own.items() if k != "title"}}
        for name, own in schema["properties"].items()
    ]


def _error() -> dict[str, Any]:
    properties = {"message": _TEXT, "type": _TEXT, "code": _TEXT}
    inner = {"type": "object", "required": ["message", "type"], "properties": properties}
    return {"type": "object", "required": ["error"], "properties": {"error": inner}}
