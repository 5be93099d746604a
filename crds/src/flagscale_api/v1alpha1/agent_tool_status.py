"""AgentTool: what a user reads back."""

from typing import Final

from pydantic import Field

from flagscale_api.meta import Condition, PrinterColumn, ResourceKind, StatusModel
from flagscale_api.v1alpha1.agent_tool import AgentToolSpec, ToolKind


class AgentToolStatus(StatusModel):
    """Observed state. `calls` is the matcher's, all else the operator's."""

    observed_generation: int | None = Field(
        default=None, description="metadata.generation this status was computed from."
    )
    conditions: list[Condition] = Field(
        default_factory=list,
        description="Ready: agents find it and may call it. Accepted: the spec is sound and its "
        "name is free. Indexed: every matcher has the current generation. Reachable: the endpoint "
        "answers. SchemaDrifted: it is not what was approved, and calls are blocked.",
    )
    kind: ToolKind | None = Field(default=None, description="function, http, mcp or agent.")
    server: str | None = Field(default=None, description="Server that it belongs to.")
    schema_digest: str | None = Field(
        default=None,
        description="Digest of what an agent relies on: name, description, parameters and what a "
        "call does.",
    )
    pinned_digest: str | None = Field(
        default=None,
        description="schemaDigest when the tool of a source was seen first; approval replaces it.",
    )
    calls: int | None = Field(default=None, description="Calls through the matcher.")


_READY: Final = '.status.conditions[?(@.type=="Ready")]'
AGENT_TOOL: Final = ResourceKind(
    kind="AgentTool",
    plural="agenttools",
    singular="agenttool",
    short_names=("tool",),
    columns=(
        PrinterColumn("Category", ".spec.category"),
        PrinterColumn("Server", ".status.server"),
        PrinterColumn("Ready", f"{_READY}.status"),
        PrinterColumn("Calls", ".status.calls", "integer"),
        PrinterColumn("Kind", ".status.kind", wide=True),
        PrinterColumn("Reason", f"{_READY}.reason", wide=True),
        PrinterColumn("Age", ".metadata.creationTimestamp", "date"),
    ),
    spec_model=AgentToolSpec,
    status_model=AgentToolStatus,
    name_rules=(),
)
