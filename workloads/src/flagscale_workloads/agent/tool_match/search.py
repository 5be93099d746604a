"""One search: which arms answer, what they say together, how sure that is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flagscale_workloads.agent.tool_match.answer import Hit, Matches, Part
from flagscale_workloads.agent.tool_match.arms import Arm
from flagscale_workloads.agent.tool_match.clauses import clauses
from flagscale_workloads.agent.tool_match.confidence import CALIBRATION, Evidence
from flagscale_workloads.agent.tool_match.filters import Filter, Mask
from flagscale_workloads.agent.tool_match.lexical import Scores, inverse_frequency, query_terms
from flagscale_workloads.agent.tool_match.scoring import (
    WEIGHTS,
    ArmScores,
    Tier,
    Weights,
    best,
    dense_scores,
    fuse,
    lexical_scores,
    name_scores,
)
from flagscale_workloads.agent.tool_match.snapshot import Snapshot
from flagscale_workloads.agent.tool_match.views import Vectors
from flagscale_workloads.agent.tool_match.words import terms

HIGHEST_TERM_WEIGHT = 2.0
"""What a term that a tool is about weighs in `lexical`, for the coverage."""


@dataclass(frozen=True, slots=True)
class Similarity:
    """Of two texts."""

    value: float
    """A cosine, or without encoders the share of words in common."""
    tier: Tier


@dataclass(frozen=True, slots=True)
class Scored:
    """A query against all rows."""

    texts: tuple[str, ...]
    words: tuple[list[str], ...]
    """Terms of each text."""
    arms: Mapping[str, ArmScores]
    weights: Weights
    fused: Scores
    tier: Tier
    degraded: tuple[str, ...]


class Search:
    """Runs queries against snapshots that it is given."""

    def __init__(self, arms: Mapping[str, Arm]) -> None:
        self._arms = arms

    def run(
        self,
        snapshot: Snapshot,
        text: str,
        k: int,
        where: Filter,
        min_confidence: float,
        weights: Weights | None,
    ) -> Matches:
        """The best k of the allowed rows; see `ToolMatcher.match_tools`."""
        allowed = snapshot.mask(where)
        scored = self._scored(snapshot, text, allowed, weights)
        places = best(scored.fused, allowed, k + 1)
        hits = _hits(snapshot, scored, places)[:k]
        abstained = not hits or max(hit.confidence for hit in hits) < min_confidence
        return Matches(
            () if abstained else tuple(hits),
            abstained,
            tuple(hits),
            scored.tier,
            scored.degraded,
            snapshot.generation,
            0.0,
        )

    def score(
        self, snapshot: Snapshot, text: str, keys: frozenset[str], weights: Weights | None
    ) -> list[Hit]:
        """Chosen rows among all."""
        scored = self._scored(snapshot, text, snapshot.alive, weights)
        places = [
            int(place)
            for place in np.flatnonzero(snapshot.alive)
            if snapshot.row(int(place)).tool.key in keys
        ]
        return _hits(snapshot, scored, places)

    def similarity(self, first: str, second: str) -> Similarity:
        """By the best arm that answers both."""
        for name, arm in self._arms.items():
            rows = [arm.query(text, ()) for text in (first, second)]
            if rows[0] is not None and rows[1] is not None:
                return Similarity(float(rows[0][0] @ rows[1][0]), _tier({name}))
        a, b = set(terms(first)), set(terms(second))
        return Similarity(len(a & b) / max(len(a | b), 1), "lexical")

    def _scored(
        self, snapshot: Snapshot, text: str, allowed: Mask, weights: Weights | None
    ) -> Scored:
        parts = clauses(text)
        texts = (text, *parts)
        vectors: dict[str, Vectors] = {}
        degraded: list[str] = []
        for name, arm in self._arms.items():
            rows = arm.query(text, parts)
            if rows is None:
                degraded.append(f"{name}: {arm.counts.last_error or 'paused after failures'}")
            else:
                vectors[name] = rows
        words = tuple(terms(one) for one in texts)
        lexical = lexical_scores(snapshot, words, allowed)
        arms = {n: dense_scores(snapshot, n, rows, allowed) for n, rows in vectors.items()}
        if arms or lexical.raw.any():
            arms["lexical"] = lexical
        else:
            arms["names"] = name_scores(snapshot, text, allowed)
        tier = _tier(set(arms))
        used = weights or WEIGHTS[tier]
        if tier == "names":
            used = WEIGHTS[tier]
        total = sum(used.get(name, 0.0) for name in arms) or 1.0
        shares = {name: used.get(name, 0.0) / total for name in arms}
        return Scored(texts, words, arms, shares, fuse(arms, used), tier, tuple(degraded))


def _tier(arms: set[str]) -> Tier:
    if arms - {"static", "lexical", "names"}:
        return "transformer"
    if "static" in arms:
        return "static"
    return "lexical" if "lexical" in arms else "names"


def _hits(snapshot: Snapshot, scored: Scored, places: list[int]) -> list[Hit]:
    key = {place: snapshot.row(place).tool.key for place in places}
    order = sorted(places, key=lambda p: (-round(float(scored.fused[p]), 5), key[p]))
    reach = _reach(snapshot, scored.words)
    found = []
    for rank, place in enumerate(order):
        others = order[1:2] if rank == 0 else order[:1]
        lead = float(scored.fused[place] - scored.fused[others[0]]) if others else 0.0
        clause = _clause(scored, place)
        parts = {
            name: Part(float(one.raw[clause, place]), float(one.scaled[clause, place]), share)
            for name, share in scored.weights.items()
            for one in (scored.arms[name],)
        }
        evidence = Evidence(
            dense=parts["dense"].raw if "dense" in parts else 0.0,
            static=parts["static"].raw if "static" in parts else 0.0,
            coverage=min(parts["lexical"].raw / reach[clause], 1.0) if "lexical" in parts else 0.0,
            lead=lead,
            names=parts["names"].raw if "names" in parts else 0.0,
        )
        tool, score = snapshot.row(place).tool, float(scored.fused[place])
        sure = CALIBRATION[scored.tier](evidence)
        found.append(Hit(tool, score, sure, parts, scored.texts[clause], evidence))
    return found


def _clause(scored: Scored, place: int) -> int:
    """Row of the clause that fits this tool best; the whole, where there is one only."""
    if len(scored.texts) == 1:
        return 0
    sums = sum(share * scored.arms[n].scaled[:, place] for n, share in scored.weights.items())
    return int(np.argmax(sums)) if isinstance(sums, np.ndarray) and len(sums) > 1 else 0


def _reach(snapshot: Snapshot, texts: Sequence[Sequence[str]]) -> list[float]:
    """The most that the terms of each text could score; unknown ones count as rare ones."""
    size, out = max(snapshot.size, 1), []
    for words in texts:
        known = query_terms(words, snapshot.vocabulary)
        total = sum(n * inverse_frequency(size, snapshot.frequency(t)) for t, n in known.items())
        unknown = len(words) - sum(known.values())
        total += unknown * inverse_frequency(size, 0)
        out.append(max(total * HIGHEST_TERM_WEIGHT, 1e-6))
    return out
