"""The arguments of a tool as JSON Schema: of any dialect's richness, bounded in size."""

from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, StringConstraints

from flagscale_api.meta import ApiModel

PARAMETERS_BYTES: Final = 65_536
"""Largest schema, as compact JSON. The operator tells of larger ones by condition Accepted."""


class ToolParameters(ApiModel):
    """JSON Schema (2020-12) of the arguments: an object. All keywords are kept."""

    model_config = ConfigDict(extra="allow")

    type: Literal["object"] = Field(default="object", description="Arguments are an object.")
    properties: dict[str, Any] | None = Field(
        default=None, max_length=128, description="Schema of every argument by its name."
    )
    required: (
        Annotated[
            list[Annotated[str, StringConstraints(min_length=1, max_length=128)]],
            Field(max_length=128),
        ]
        | None
    ) = Field(default=None, description="Arguments that a call must have.")

    def as_schema(self) -> dict[str, Any]:
        """The schema as plain JSON, without keywords that nobody has written."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)
