"""AgentToolSource: one server whose tools become AgentTools, and follow its changes."""

from typing import Annotated, ClassVar, Final

from pydantic import Field, StringConstraints

from flagscale_api.meta import (
    ApiModel,
    CelRule,
    Condition,
    PrinterColumn,
    ResourceKind,
    StatusModel,
)
from flagscale_api.v1alpha1.agent_tool import CALL_RULES, CallSettings
from flagscale_api.v1alpha1.common import DnsSubdomain
from flagscale_api.v1alpha1.tool_endpoint import Url
from flagscale_api.v1alpha1.tool_text import each_once

TOOLS_LIMIT: Final = 1024
NamePattern = Annotated[
    str, StringConstraints(pattern=r"^[-A-Za-z0-9_.*?]+$", min_length=1, max_length=256)
]


class McpServer(ApiModel):
    """An MCP server."""

    url: Url = Field(description="URL of the server; streamable HTTP is spoken.")


class DocumentRef(ApiModel):
    """A document in a ConfigMap of the same namespace."""

    name: DnsSubdomain = Field(description="Name of the ConfigMap.")
    key: Annotated[str, StringConstraints(min_length=1, max_length=253)] = Field(
        description="Key within the ConfigMap."
    )


class OpenApiDocument(ApiModel):
    """An OpenAPI 3.0 or 3.1 document, each operation of which is a tool."""

    url: Url | None = Field(
        default=None,
        description="URL of the document, JSON or YAML. Exactly one of url and configMapKeyRef.",
    )
    config_map_key_ref: DocumentRef | None = Field(
        default=None,
        description="The document in a ConfigMap. Exactly one of url and configMapKeyRef.",
    )
    server_url: Url | None = Field(
        default=None,
        description="Base URL of the operations; unset: the document's first server, relative to "
        "the document's own URL.",
    )

    cel_rules: ClassVar[tuple[CelRule, ...]] = (
        CelRule(
            "has(self.url) != has(self.configMapKeyRef)",
            "spec.openApi: exactly one of url and configMapKeyRef is needed; set one of them",
            holds=lambda one: (one.url is None) != (one.config_map_key_ref is None),
        ),
    )


class AgentToolSourceSpec(CallSettings):
    """A server whose tools are kept as AgentTools: new ones appear, removed ones go.

    A tool that changes is held back (condition SchemaDrifted of it) until it is approved.
    """

    mcp: McpServer | None = Field(
        default=None, description="Tools of an MCP server. Exactly one of mcp and openApi."
    )
    open_api: OpenApiDocument | None = Field(
        default=None,
        description="Operations of an OpenAPI document. Exactly one of mcp and openApi.",
    )
    include: list[NamePattern] = Field(
        default_factory=list,
        max_length=64,
        description="Names of tools to take, * and ? as wildcards; empty: all.",
    )
    exclude: list[NamePattern] = Field(
        default_factory=list,
        max_length=64,
        description="Names of tools to leave out, * and ? as wildcards.",
    )
    max_tools: int = Field(
        default=256,
        ge=1,
        le=TOOLS_LIMIT,
        description="Most tools to take; with more the source is Degraded and takes the first by "
        "name.",
    )
    resync_seconds: int = Field(
        default=300, ge=10, le=86400, description="How often the server is asked for its tools."
    )

    cel_rules: ClassVar[tuple[CelRule, ...]] = (
        CelRule(
            "has(self.mcp) != has(self.openApi)",
            "spec: exactly one of mcp and openApi is needed; set one of them",
            holds=lambda spec: (spec.mcp is None) != (spec.open_api is None),
        ),
        each_once("include", "include", where="spec"),
        each_once("exclude", "exclude", where="spec"),
        *CALL_RULES,
    )


class SkippedTool(StatusModel):
    """A tool of the server that became no AgentTool."""

    name: str = Field(description="Its name on the server, cut to 64 characters.")
    message: str = Field(description="What is wrong with it.")


class RemovedTool(StatusModel):
    """A tool that the server had once."""

    name: str = Field(description="metadata.name of its AgentTool.")
    pinned_digest: str = Field(description="What it was held to, and is when it comes back.")


class AgentToolSourceStatus(StatusModel):
    """Observed state, written by the operator only."""

    observed_generation: int | None = Field(
        default=None, description="metadata.generation this status was computed from."
    )
    conditions: list[Condition] = Field(
        default_factory=list,
        description="Ready: the AgentTools are what the server offered when last asked. Reachable: "
        "the server answers. Degraded: some of its tools could not be taken.",
    )
    server: str | None = Field(
        default=None, description="Name and version that the server gives itself."
    )
    tools: int | None = Field(default=None, description="AgentTools that it has.")
    skipped: list[SkippedTool] = Field(
        default_factory=list, description="Tools that could not be taken, 16 at most."
    )
    removed: list[RemovedTool] = Field(
        default_factory=list,
        description="Tools that were removed, the newest last, 256 at most: one that comes back "
        "changed is not taken for a new one.",
    )


_READY: Final = '.status.conditions[?(@.type=="Ready")]'
AGENT_TOOL_SOURCE: Final = ResourceKind(
    kind="AgentToolSource",
    plural="agenttoolsources",
    singular="agenttoolsource",
    short_names=("toolsource",),
    columns=(
        PrinterColumn("Ready", f"{_READY}.status"),
        PrinterColumn("Tools", ".status.tools", "integer"),
        PrinterColumn("Server", ".status.server"),
        PrinterColumn("Reason", f"{_READY}.reason", wide=True),
        PrinterColumn("Age", ".metadata.creationTimestamp", "date"),
    ),
    spec_model=AgentToolSourceSpec,
    status_model=AgentToolSourceStatus,
    name_rules=(
        CelRule(
            "self.metadata.name.size() <= 63",
            "metadata.name: must be at most 63 characters, as its AgentTools are labelled with it",
            holds=lambda name: len(name) <= 63,
        ),
    ),
)
