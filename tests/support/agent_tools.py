"""AgentTools and AgentToolSources that tests start from."""

from typing import Any

Body = dict[str, Any]
SPEC: Body = {"description": "Count the words of a text."}
HTTP: Body = {"http": {"url": "https://api.example.org/v1/orders/{id}"}}
SOURCE: Body = {"mcp": {"url": "https://tools.example.org/mcp"}}
PARAMETERS: Body = {"properties": {"id": {"type": "string"}}, "required": ["id"]}


def agent_tool(spec: Body, name: str = "tool") -> Body:
    """As a user writes it."""
    return _object("AgentTool", name, spec)


def tool_source(spec: Body, name: str = "source") -> Body:
    """As a user writes it."""
    return _object("AgentToolSource", name, spec)


def _object(kind: str, name: str, spec: Body) -> Body:
    metadata = {"name": name}
    return {
        "apiVersion": "flagscale.dev/v1alpha1",
        "kind": kind,
        "metadata": metadata,
        "spec": spec,
    }


def conditions(body: Body) -> dict[str, tuple[str, str]]:
    """Status and reason by type."""
    found = body.get("status", {}).get("conditions", ())
    return {one["type"]: (one["status"], one["reason"]) for one in found}


def message(body: Body, type_: str) -> str:
    """What a condition tells."""
    found = body.get("status", {}).get("conditions", ())
    return next((str(one["message"]) for one in found if one["type"] == type_), "")
