"""The arguments of a tool as JSON Schema: of any dialect's richness, bounded in size."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    StringConstraints,
    model_validator,
)

from flagscale_api.meta import ApiModel

PARAMETERS_BYTES: Final = 65_536
"""Largest schema, as compact JSON. The operator tells of larger ones by condition Accepted."""
PARAMETERS_DEPTH: Final = 128
"""Objects and lists within each other."""


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

    @model_validator(mode="wrap")
    @classmethod
    def _keeps_every_keyword(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:  # noqa: ANN401 - pydantic's signature
        """Also where the fields that this version does not know are ignored or refused."""
        if not isinstance(data, Mapping):
            return handler(data)
        ours = {key: value for key, value in data.items() if key in cls.model_fields}
        made = handler(ours)
        further = {key: value for key, value in data.items() if key not in ours}
        object.__setattr__(made, "__pydantic_extra__", further)
        return made

    def as_schema(self) -> dict[str, Any]:
        """The schema as plain JSON, without keywords that nobody has written."""
        # Not dumped: what users nest too deeply is for the operator to tell, not to fail at.
        said = {"type": self.type, "properties": self.properties, "required": self.required}
        written = {key: value for key, value in said.items() if value is not None}
        return {**written, **(self.model_extra or {})}
