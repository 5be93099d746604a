"""What a search gives back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from flagscale_workloads.agent.tool_match.confidence import Evidence
from flagscale_workloads.agent.tool_match.scoring import Tier
from flagscale_workloads.agent.tool_match.tool import Tool


class Part(NamedTuple):
    """One arm's share of a hit's score."""

    raw: float
    """A cosine, or a sum of BM25F."""
    scaled: float
    """In 0..1 among the tools that were allowed."""
    weight: float
    """Of the arm, all summing to one."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A tool, how well it fits, and why."""

    tool: Tool
    score: float
    """Orders the hits of one search, 0..1."""
    confidence: float
    """Probability that this tool answers the request."""
    parts: Mapping[str, Part]
    clause: str
    """The clause of the request that it fits best; the whole when there is one."""
    evidence: Evidence
    """What `confidence` was made of."""


@dataclass(frozen=True, slots=True)
class Matches:
    """Hits, best first, and what produced them."""

    hits: tuple[Hit, ...]
    abstained: bool
    """No tool is likely enough: `hits` is empty, `considered` is not."""
    considered: tuple[Hit, ...]
    """What was ranked, also where it was held back."""
    tier: Tier
    degraded: tuple[str, ...]
    """Why a better tier did not answer, a sentence per arm."""
    generation: int
    took_ms: float
    cached: bool = False
