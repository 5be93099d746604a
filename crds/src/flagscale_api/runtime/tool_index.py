"""What a matcher tells the operator about its index: `GET /v1/index` on its metrics port.

The operator asks every replica every two seconds, with `If-None-Match`; an unchanged index is a
304. Nothing in the answer is secret, so the port needs no credentials.
"""

from typing import Final

from pydantic import Field

from flagscale_api.meta import StatusModel

INDEX_PATH: Final = "/v1/index"


class IndexedTool(StatusModel):
    """One AgentTool as a matcher has it."""

    generation: int = Field(description="metadata.generation that queries see.")
    error: str = Field(default="", description="Why the matcher can't take it; empty: it did.")


class IndexReport(StatusModel):
    """The index of one matcher replica."""

    replica: str = Field(description="Name of its pod.")
    tools: dict[str, IndexedTool] = Field(description="By metadata.uid of the AgentTool.")
