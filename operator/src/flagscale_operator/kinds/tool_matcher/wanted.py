"""What the installation says of the matcher."""

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class MatcherWanted(BaseModel):
    """The matcher as the chart asks for it; its values are described there."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True
    )

    image: str = Field(min_length=1, description="Image of its pods.")
    replicas: int = Field(default=1, ge=1, le=2, description="Pods; each has all tools.")
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        default="IfNotPresent", description="Pull policy of its pods."
    )
    image_pull_secrets: tuple[str, ...] = Field(
        default=(), description="Names of Secrets that the image is pulled with."
    )
    tracing_endpoint: str = Field(
        default="", description="Collector of spans, OTLP over HTTP; empty: no spans."
    )
    resources: dict[Literal["requests", "limits"], dict[str, str | int | float]] = Field(
        default_factory=dict, description="Compute resources of each pod."
    )


def decoded(value: Any) -> Any:  # noqa: ANN401 - whatever pydantic is given
    """An environment variable's JSON; raises ValueError, which pydantic reports."""
    return json.loads(value) if isinstance(value, str) else value
