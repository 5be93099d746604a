"""Faults on demand: what goes wrong, and whose turn it is."""

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Fate = Literal["served", "failed", "hung", "dead"]


class Faults(BaseModel):
    """What goes wrong; the defaults are a healthy engine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    die_after_tokens: int | None = Field(
        default=None, ge=1, description="The process dies once it has generated so many tokens."
    )
    die_after_requests: int | None = Field(
        default=None, ge=0, description="So many requests are accepted, the next one kills."
    )
    hang: Literal["none", "requests", "all"] = Field(
        default="none", description="Never answer: requests, or health and metrics as well."
    )
    hang_after_tokens: int | None = Field(
        default=None, ge=1, description="Each answer stands still after so many tokens."
    )
    fail_share: float = Field(default=0, ge=0, le=1, description="Share of requests that fail.")
    fail_status: int = Field(default=500, ge=500, le=599, description="HTTP status of failures.")
    slow_factor: float = Field(
        default=1, gt=0, le=1_000_000, description="How much longer than usual all takes."
    )


class FaultScript:
    """Counts requests and tokens since the faults were set; no chance is involved."""

    def __init__(self, faults: Faults) -> None:
        self.set(faults)

    def set(self, faults: Faults) -> None:
        """Put other faults in place of these."""
        self.faults = faults
        self._requests = 0
        self._tokens = 0

    def next_request(self) -> Fate:
        """What becomes of the request that has just arrived."""
        number = self._requests
        self._requests += 1
        limit = self.faults.die_after_requests
        if limit is not None and number >= limit:
            return "dead"
        if self.faults.hang != "none":
            return "hung"
        return "failed" if falls_due(number, self.faults.fail_share) else "served"

    def next_token(self) -> bool:
        """Count a generated token; whether the process dies right after it."""
        self._tokens += 1
        limit = self.faults.die_after_tokens
        return limit is not None and self._tokens >= limit


def falls_due(number: int, share: float) -> bool:
    """Whether the number-th of a series (from 0) is one of the share, spread evenly."""
    # The tolerance keeps 0.1 * 10 from being short of 1.
    return math.floor((number + 1) * share + 1e-9) > math.floor(number * share + 1e-9)
