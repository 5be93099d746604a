"""What a matcher tells the operator about its index: `GET /v1/index`.

The operator asks every replica every two seconds, with `If-None-Match`; an unchanged index is a
304. Names and texts of tools are not in it, so it needs no credentials.
"""

from typing import Final

from pydantic import Field

from flagscale_api.meta import StatusModel

INDEX_PATH: Final = "/v1/index"


class IndexReport(StatusModel):
    """The index of one matcher replica, by metadata.uid of AgentTools."""

    replica: str = Field(description="Name of its pod.")
    tools: dict[str, int] = Field(description="metadata.generation that searches see.")
    refused: dict[str, int] = Field(
        default_factory=dict,
        description="metadata.generation of those that can't be found; its log tells why.",
    )
