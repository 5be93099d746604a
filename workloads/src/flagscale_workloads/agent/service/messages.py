"""What callers send: checked models, which the OpenAPI document and MCP's schemas are made of."""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flagscale_api.v1alpha1.tool_text import Label
from flagscale_workloads.agent.service.errors import ServiceError

T = TypeVar("T", bound=BaseModel)
Name = Annotated[str, Field(min_length=1, max_length=253)]
Text = Annotated[str, Field(max_length=4096)]
Names = Annotated[list[Name], Field(max_length=64)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class MatchRequest(_Request):
    """Find the tools that answer a request."""

    query: Annotated[str, Field(min_length=1, max_length=4096)] = Field(
        description="What the tool should do, in plain words; several things in one are fine."
    )
    k: int = Field(default=5, ge=1, le=100, description="At most so many tools.")
    task: Text = Field(default="", description="What the agent is about; joins the request.")
    namespaces: Names = Field(default=[], description="Only tools of these namespaces.")
    servers: Names = Field(default=[], description="Only tools of these servers.")
    categories: Names = Field(default=[], description="Only tools of these categories.")
    only_healthy: bool = Field(
        default=True, description="Leave out tools whose endpoint cannot be reached."
    )
    min_confidence: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Answer with nothing when even the best tool is less likely than this to "
        "answer; 0 never does. Unset: what was fitted on labelled requests.",
    )
    schema_tokens: int = Field(
        default=0,
        ge=0,
        le=100_000,
        description="Give input schemas, best tool first, until they are about so many tokens.",
    )


class DescribeRequest(_Request):
    """Describe one tool whole."""

    namespace: Name = Field(description="Namespace of the AgentTool.")
    name: Name = Field(description="Name of the AgentTool, as find_tools gives it.")


class CallBody(_Request):
    """Arguments of a call."""

    arguments: dict[str, Any] = Field(
        default={}, description="By the tool's input schema, which they are checked against."
    )


class CallRequest(DescribeRequest, CallBody):
    """Call one tool."""


class ListRequest(_Request):
    """List tools in a fixed order, page by page."""

    namespace: str = Field(default="", max_length=253, description="Empty: all that are visible.")
    server: str = Field(default="", max_length=253, description="Empty: of all servers.")
    cursor: str = Field(default="", max_length=1024, description="`next_cursor` of the last page.")
    limit: int = Field(default=50, ge=1, le=200, description="Tools of a page.")


class CategoryRequest(_Request):
    """Leave the tools of a category without one."""

    category: Label = Field(description="As their own specs name it.")


class RenameRequest(CategoryRequest):
    """Rename a category, or merge it into an existing one."""

    to: Label = Field(description="The new name.")


class AssignRequest(_Request):
    """File tools under a category."""

    category: Label | Literal[""] = Field(description="Empty: none of their own.")
    tools: Annotated[list[DescribeRequest], Field(min_length=1, max_length=1000)] = Field(
        description="Which."
    )


def parsed(kind: type[T], body: bytes | dict[str, Any]) -> T:
    """A request. Raises ServiceError 400 that names the field."""
    try:
        if isinstance(body, bytes):
            return kind.model_validate_json(body or b"{}")
        return kind.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"])) or "body"
        shown = f"{first['input']!r:.80}"
        message = f"{where}: {first['msg']}, got {shown}; see /openapi.json"
        raise ServiceError(400, "invalid_request", message) from error
