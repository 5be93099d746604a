"""Tools as a server or a document offers them, before they become AgentTools (pure)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from flagscale_api.v1alpha1.tool_endpoint import HttpEndpoint

UNUSED: Final = ("$schema", "title")


@dataclass(frozen=True, slots=True)
class RemoteTool:
    """One tool of a server."""

    name: str
    """As the server calls it."""
    description: str
    parameters: str
    """JSON Schema, as canonical JSON."""
    idempotent: bool = False
    http: HttpEndpoint | None = None
    """The operation of an OpenAPI document; None: a tool of an MCP server."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Everything that a source offers, or why it could not be asked; equal while that is so."""

    tools: tuple[RemoteTool, ...] = ()
    server: str = ""
    """Name and version that it gives itself."""
    refused: tuple[tuple[str, str], ...] = ()
    """Names of what is no usable tool, and why."""
    reason: str = ""
    """Why it failed, for a condition; empty: it did not."""
    message: str = ""

    @property
    def failed(self) -> bool:
        """Whether there is no list."""
        return bool(self.reason)


def canonical(schema: Mapping[str, Any]) -> str:
    """One text for equal schemas; raises ValueError for what is no JSON."""
    kept = {key: value for key, value in schema.items() if key not in UNUSED}
    return json.dumps(kept, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
