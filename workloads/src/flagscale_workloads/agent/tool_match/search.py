"""One search: which arms answer, what they say together, how sure that is."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from flagscale_workloads.agent.tool_match.answer import Hit, Matches, Part
from flagscale_workloads.agent.tool_match.arms import Arm
from flagscale_workloads.agent.tool_match.clauses import clauses
from flagscale_workloads.agent.tool_match.confidence import CALIBRATION, Evidence
from flagscale_workloads.agent.tool_match.filters import Filter, Mask
from flagscale_workloads.agent.tool_match.lexical import Scores
from flagscale_workloads.agent.tool_match.scoring import (
    WEIGHTS,
    ArmScores,
    Asked,
    Tier,
    Weights,
    best,
    dense_scores,
    fuse,
    lexical_scores,
    name_scores,
    shares_of,
)
from flagscale_workloads.agent.tool_match.snapshot import Snapshot
from flagscale_workloads.agent.tool_match.words import terms


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
    asked: Asked
    arms: Mapping[str, ArmScores]
    weights: Weights
    fused: Scores
    tier: Tier
    degraded: tuple[str, ...]


class Search:
    """Runs queries against snapshots that it is given."""

    def __init__(self, arms: Mapping[str, Arm], *, beside: bool) -> None:
        """`beside`: models run beside each other and the search for words, given the cores."""
        self._arms = arms
        self._beside = beside

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
        hits = _hits(snapshot, scored, places, k)
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
        return _hits(snapshot, scored, places, len(places))

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
        wait = not self._beside
        pending = {name: arm.asked(text, parts, wait=wait) for name, arm in self._arms.items()}
        try:
            asked = Asked.of(snapshot, [terms(one) for one in texts])
            lexical = lexical_scores(snapshot, asked, allowed)
        finally:
            # Whatever else fails, a breaker must hear how its probe ended.
            embedded = {name: rows() for name, rows in pending.items()}
        vectors = {name: rows for name, rows in embedded.items() if rows is not None}
        degraded = [
            f"{name}: {self._arms[name].counts.last_error or 'paused after failures'}"
            for name, rows in embedded.items()
            if rows is None
        ]
        arms = {n: dense_scores(snapshot, n, rows, allowed) for n, rows in vectors.items()}
        if arms or lexical.raw.any():
            arms["lexical"] = lexical
        else:
            arms["names"] = name_scores(snapshot, text, allowed)
        tier = _tier(set(arms))
        used = weights or WEIGHTS[tier]
        if tier == "names":
            used = WEIGHTS[tier]
        shares = shares_of(arms, used)
        return Scored(texts, asked, arms, shares, fuse(arms, shares), tier, tuple(degraded))


def _tier(arms: set[str]) -> Tier:
    if arms - {"static", "lexical", "names"}:
        return "transformer"
    if "static" in arms:
        return "static"
    return "lexical" if "lexical" in arms else "names"


def _hits(snapshot: Snapshot, scored: Scored, places: list[int], most: int) -> list[Hit]:
    """The best of the places, best first; equals by key."""
    tools = [snapshot.row(place).tool for place in places]
    fused = scored.fused[places].clip(0, 1).tolist()
    order = sorted(range(len(places)), key=lambda i: (-round(fused[i], 5), tools[i].key))
    scaled = {name: scored.arms[name].scaled(places) for name in scored.weights}
    clause = _clauses(scaled, scored.weights)
    every = range(len(places))
    parts = {
        name: _parts(scored.arms[name].raw[clause, places], scaled[name][clause, every], share)
        for name, share in scored.weights.items()
    }
    found = []
    for rank, i in enumerate(order[:most]):
        own = {name: each[i] for name, each in parts.items()}
        others = order[1:2] if rank == 0 else order[:1]
        evidence = Evidence(
            **{name: own[name].raw for name in ("dense", "static", "names") if name in own},
            coverage=_coverage(scored, own, clause[i]),
            lead=fused[i] - fused[others[0]] if others else 0.0,
        )
        sure = CALIBRATION[scored.tier](evidence)
        found.append(Hit(tools[i], fused[i], sure, own, scored.texts[clause[i]], evidence))
    return found


def _parts(raw: Scores, scaled: Scores, share: float) -> list[Part]:
    """What an arm says of each place."""
    return [Part(*both, share) for both in zip(raw.tolist(), scaled.tolist(), strict=True)]


def _clauses(scaled: Mapping[str, Scores], shares: Mapping[str, float]) -> list[int]:
    """Row of the clause that fits each place best; the whole, where there is one only."""
    found: list[int] = (
        np.asarray(sum(shares[n] * one for n, one in scaled.items())).argmax(0).tolist()
    )
    return found


def _coverage(scored: Scored, parts: Mapping[str, Part], text: int) -> float:
    """Share of the text's informative words that a tool has."""
    return min(parts["lexical"].raw / scored.asked.reach(text), 1.0) if "lexical" in parts else 0.0
