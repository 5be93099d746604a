"""AgentTool: what a user may write."""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field, StringConstraints

from flagscale_api.meta import ApiModel, CelRule
from flagscale_api.v1alpha1.tool_endpoint import (
    AgentEndpoint,
    HttpEndpoint,
    McpEndpoint,
    ToolAuth,
    ToolEgress,
    host_and_port,
)
from flagscale_api.v1alpha1.tool_parameters import ToolParameters
from flagscale_api.v1alpha1.tool_text import (
    Description,
    Label,
    Query,
    ServerName,
    ToolName,
    each_once,
    nothing_hidden,
    nothing_hidden_in_any,
)

Sharing = Literal["rbac", "cluster"]
ToolKind = Literal["function", "http", "mcp", "agent"]
SchemaDigest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$", max_length=71)]
ENDPOINTS: Final = ("http", "mcp", "agent")
_AT_MOST_ONE: Final = (
    "At most one of http, mcp and agent; none: a function, which the agent itself runs."
)


class CallSettings(ApiModel):
    """How a tool is called and who may; the same for all tools of a source."""

    category: Label | None = Field(
        default=None, description="What it is about, to filter by; unset: learned or none."
    )
    tags: list[Label] = Field(default_factory=list, max_length=32, description="Words to find by.")
    auth: ToolAuth | None = Field(
        default=None, description="Credential sent with every call; unset: none."
    )
    timeout_seconds: float = Field(
        default=30, gt=0, le=600, description="Longest time of one call."
    )
    egress: ToolEgress = Field(
        default_factory=ToolEgress,
        description="Calls reach public addresses only, unless named here.",
    )
    sharing: Sharing = Field(
        default="rbac",
        description="rbac: those find it who may `get` this AgentTool, and those call it who may "
        "`create` its subresource `call` (agenttools/call). cluster: every authenticated caller "
        "finds and calls it, with the credential of spec.auth.",
    )


CALL_RULES: Final = (
    each_once("tags", "tags", where="spec"),
    nothing_hidden("category", where="spec"),
    nothing_hidden_in_any("tags", "tags", where="spec"),
)


class AgentToolSpec(CallSettings):
    """A tool that agents find by what it does, and call."""

    name: ToolName | None = Field(
        default=None,
        description="Name that agents see; unset: metadata.name. One server's tools have "
        "different names: of two in a namespace, the older one is taken.",
    )
    server: ServerName | None = Field(
        default=None,
        description="Server that it belongs to, to filter and list by; unset: host and port of "
        "its endpoint.",
    )
    description: Description = Field(
        description="What it does and when to use it, for models: this is what it is found by."
    )
    parameters: ToolParameters = Field(
        default_factory=ToolParameters,
        description="JSON Schema (2020-12) of its arguments, 64 KiB at most; unset: it has none.",
    )
    example_queries: list[Query] = Field(
        default_factory=list,
        max_length=64,
        description="Requests in users' words that it answers; three or more help most.",
    )
    http: HttpEndpoint | None = Field(default=None, description=f"An HTTP API. {_AT_MOST_ONE}")
    mcp: McpEndpoint | None = Field(
        default=None, description=f"A tool of an MCP server. {_AT_MOST_ONE}"
    )
    agent: AgentEndpoint | None = Field(
        default=None,
        description="An agent that speaks A2A; a call hands its arguments over as a task: one "
        f"text alone as text, anything else as data. {_AT_MOST_ONE}",
    )
    idempotent: bool = Field(
        default=False,
        description="Whether a call may be repeated: only then a failed one is retried.",
    )
    approved_schema_digest: SchemaDigest | None = Field(
        default=None,
        description="Approve the tool as it is: status.schemaDigest, copied. Calls are blocked "
        "while it differs (condition SchemaDrifted). Unset: a tool of a source is held to what it "
        "was at first, others are not checked.",
    )

    cel_rules: ClassVar[tuple[CelRule, ...]] = (
        CelRule(
            f"[{', '.join(f'has(self.{name})' for name in ENDPOINTS)}].filter(x, x).size() <= 1",
            "spec: at most one of http, mcp and agent; remove the others",
            holds=lambda spec: sum(getattr(spec, name) is not None for name in ENDPOINTS) <= 1,
        ),
        CelRule(
            "!has(self.auth) || has(self.http) || has(self.mcp) || has(self.agent)",
            "spec.auth: a function has no endpoint to send it to; remove it",
            ".auth",
            holds=lambda spec: spec.auth is None or spec.kind != "function",
        ),
        nothing_hidden("description", where="spec"),
        nothing_hidden_in_any("example_queries", "exampleQueries", where="spec"),
        each_once("example_queries", "exampleQueries", where="spec"),
        *CALL_RULES,
    )

    @property
    def kind(self) -> ToolKind:
        """What the tool is."""
        if self.http:
            return "http"
        if self.mcp:
            return "mcp"
        return "agent" if self.agent else "function"

    @property
    def endpoint(self) -> HttpEndpoint | McpEndpoint | AgentEndpoint | None:
        """Where it runs; None: in the agent."""
        return self.http or self.mcp or self.agent

    @property
    def effective_server(self) -> str:
        """Server that it belongs to, said or not; empty for a function."""
        return self.server or (host_and_port(self.endpoint.url) if self.endpoint else "")

    def effective_name(self, object_name: str) -> str:
        """Name that agents see, for the AgentTool of that metadata.name."""
        return self.name or object_name
