"""What the matcher tells about itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flagscale_workloads.agent.tool_match.arms import Arm
from flagscale_workloads.agent.tool_match.breaker import State
from flagscale_workloads.agent.tool_match.recent import Recent
from flagscale_workloads.agent.tool_match.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class CacheReport:
    """Entries, hits and misses since the start."""

    results: int
    result_hits: int
    result_misses: int
    query_vectors: int
    query_vector_hits: int
    query_vector_misses: int
    tool_vectors: int
    """Kept by content, over all arms."""

    @classmethod
    def of(cls, results: Recent[Any], arms: Sequence[Recent[Any]], stored: int) -> "CacheReport":
        """Add up."""
        return cls(
            len(results),
            results.hits,
            results.misses,
            sum(map(len, arms)),
            sum(one.hits for one in arms),
            sum(one.misses for one in arms),
            stored,
        )


@dataclass(frozen=True, slots=True)
class ArmReport:
    """An arm that embeds."""

    name: str
    model_id: str
    breaker: State
    encoded: int
    failed: int
    timed_out: int
    refused: int
    last_error: str
    missing: int
    """Tools that it has not embedded: it failed while they were indexed."""


def arm_report(arm: Arm, snapshot: Snapshot) -> ArmReport:
    """Its state now."""
    counts = arm.counts
    return ArmReport(
        arm.name,
        arm.encoder.model_id,
        arm.state,
        counts.encoded,
        counts.failed,
        counts.timed_out,
        counts.refused,
        counts.last_error,
        missing(arm.name, snapshot),
    )


def missing(arm: str, snapshot: Snapshot) -> int:
    """Living tools without a vector of this arm."""
    return sum(arm not in row.embedded for row in snapshot.rows())
