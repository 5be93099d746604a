"""A digest of what an agent relies on when it calls a tool (pure)."""

import hashlib
import json
from typing import Any

from flagscale_api.v1alpha1.agent_tool import AgentToolSpec


def schema_digest(spec: AgentToolSpec, name: str) -> str:
    """Over name, description, parameters and what a call does.

    Of an MCP tool the server's URL is left out: it is the owner's, not the server's to change. The
    URL of an HTTP operation is the document's, and a changed one sends arguments elsewhere.
    """
    relied_on: dict[str, Any] = {
        "name": name,
        "description": spec.description,
        "parameters": spec.parameters.as_schema(),
    }
    if spec.http:
        relied_on["http"] = spec.http.model_dump(mode="json", by_alias=True, exclude_none=True)
    if spec.mcp:
        relied_on["tool"] = spec.mcp.tool or name
    if spec.agent:
        relied_on["agent"] = spec.agent.url
    text = json.dumps(relied_on, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
