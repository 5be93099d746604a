"""The OpenAPI document of the gateway: what it checks itself; engines take more fields."""

from collections.abc import Collection
from typing import Any, Final

_ERROR: Final = {"$ref": "#/components/schemas/Error"}
_JSON: Final = "application/json"
_METRICS: Final = "text/plain"
_TEXT: Final = {"type": "string"}
_TEXTS: Final = {"type": "array", "minItems": 1, "maxItems": 64, "items": _TEXT}
_ONE_OR_MORE: Final = {"anyOf": [_TEXT, _TEXTS]}
_MESSAGE: Final = {
    "type": "object",
    "required": ["role", "content"],
    "properties": {"role": {"enum": ["system", "user", "assistant"]}, "content": _TEXT},
}
_MESSAGES: Final = {"type": "array", "minItems": 1, "items": _MESSAGE}
# Path -> summary, and the schemas of its required fields. Engines take more fields and forms.
_CALLS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "/v1/chat/completions": ("Answer a chat; also a WebSocket", {"messages": _MESSAGES}),
    "/v1/completions": ("Continue a prompt", {"prompt": _TEXT}),
    "/v1/embeddings": ("Embed texts", {"input": _ONE_OR_MORE}),
    "/v1/rerank": ("Order documents by a query", {"query": _TEXT, "documents": _TEXTS}),
    "/v1/responses": ("Answer by OpenAI's Responses API", {"input": _TEXT}),
    "/v1/images/generations": ("Make images", {"prompt": _TEXT}),
}
_STREAMED: Final = frozenset({"/v1/chat/completions", "/v1/completions", "/v1/responses"})
_REFUSALS: Final = {
    "400": "Not valid; the error names the field.",
    "404": "The model is not served here, or the engine does not have this endpoint.",
    "405": "Another method is needed.",
    "408": "The request was not complete in time.",
    "413": "The body is too large.",
    "422": "The engine refuses a field.",
    "429": "Over a limit, or the queue is full; Retry-After tells when to come back.",
    "501": "The engine can't do it.",
    "502": "No replica answered.",
    "503": "No replica was free in time; Retry-After tells when to come back.",
}


def document(model: str, endpoints: Collection[str], *, keys: bool) -> dict[str, Any]:
    """OpenAPI 3.1 for one served model and the endpoints that its engine has."""
    paths: dict[str, Any] = {
        path: {"post": _call(path, model, keys=keys)} for path in sorted(endpoints)
    }
    paths["/v1/models"] = {"get": _page("List the model", keys=keys)}
    paths["/health"] = {"get": _page("Whether a replica is ready", keys=False)}
    paths["/ready"] = {"get": _page("Whether requests are taken, to wait if need be", keys=False)}
    paths["/openapi.json"] = {"get": _page("This document", keys=False)}
    paths["/metrics"] = {"get": _page("Figures for Prometheus", keys=False, media=_METRICS)}
    schemas = {"Error": _error_schema()}
    components: dict[str, Any] = {"schemas": schemas}
    if keys:
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": "3.1.0",
        "info": {"title": f"FlagScale: {model}", "version": "v1"},
        "paths": paths,
        "components": components,
    }


def _call(path: str, model: str, *, keys: bool) -> dict[str, Any]:
    summary, required = _CALLS[path]
    optional: dict[str, Any] = {"model": {"type": "string", "const": model}}
    if path in _STREAMED:
        optional["stream"] = {"type": ["boolean", "null"]}
    body = {
        "type": "object",
        "required": list(required),
        "properties": {**optional, **required},
    }
    answer: dict[str, Any] = {_JSON: {"schema": {"type": "object"}}}
    if path in _STREAMED:
        answer["text/event-stream"] = {}
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": {_JSON: {"schema": body}}},
        **_security(keys=keys),
        "responses": {
            "200": {"description": "The answer.", "content": answer},
            **_refusals(keys=keys),
        },
    }


def _page(summary: str, *, keys: bool, media: str = _JSON) -> dict[str, Any]:
    answer = {media: {"schema": {"type": "object"}} if media == _JSON else {}}
    return {
        "summary": summary,
        **_security(keys=keys),
        "responses": {
            "200": {"description": "The answer.", "content": answer},
            **_refusals(keys=keys),
        },
    }


def _security(*, keys: bool) -> dict[str, Any]:
    return {"security": [{"key": []}]} if keys else {}


def _refusals(*, keys: bool) -> dict[str, Any]:
    told = _REFUSALS | ({"401": "The API key is missing or not known."} if keys else {})
    content = {_JSON: {"schema": _ERROR}}
    return {code: {"description": about, "content": content} for code, about in told.items()}


def _error_schema() -> dict[str, Any]:
    optional = {"type": ["string", "null"]}
    error = {
        "type": "object",
        "required": ["message", "type"],
        "properties": {
            "message": {"type": "string"},
            "type": {"type": "string"},
            "param": optional,
            "code": {"type": ["string", "integer", "null"]},
        },
    }
    return {"type": "object", "required": ["error"], "properties": {"error": error}}
