"""Scores of one query against a snapshot: each arm's own, then their weighted sum."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from flagscale_workloads.agent.tool_match.filters import Mask
from flagscale_workloads.agent.tool_match.lexical import (
    Scores,
    inverse_frequency,
    query_terms,
)
from flagscale_workloads.agent.tool_match.snapshot import Snapshot
from flagscale_workloads.agent.tool_match.views import Vectors

Tier = Literal["transformer", "static", "lexical", "names"]
Weights = Mapping[str, float]
WEIGHTS: Final[Mapping[Tier, Weights]] = {
    "transformer": {"dense": 0.45, "static": 0.3, "lexical": 0.25},
    "static": {"static": 0.75, "lexical": 0.25},
    "lexical": {"lexical": 1.0},
    "names": {"names": 1.0},
}
"""Per tier, by name of the arm; chosen on the tune halves of the development sets."""
CLAUSE_WEIGHT: Final = 0.8
HIGHEST_TERM_WEIGHT: Final = 2.0
"""What a term that a tool is about weighs in `lexical`, for the coverage."""
SAME_COSINE: Final = 1e-6


@dataclass(frozen=True, slots=True)
class ArmScores:
    """One arm: a row for the query and one per clause, over all rows of the snapshot."""

    raw: Scores
    factors: Scores
    """A column: of each row, what makes scores comparable between arms."""
    offsets: Scores
    """A column, added after."""

    def scaled(self, places: Sequence[int]) -> Scores:
        """Of chosen places: in 0..1 over those that are allowed."""
        found = self.raw[:, places] * self.factors + self.offsets
        return np.asarray(found.clip(0, 1), np.float32)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the texts of a query, the whole and its clauses, ask in words."""

    counts: tuple[Mapping[int, int], ...]
    """How often each text says each known term."""
    unknown: tuple[int, ...]
    """How many words of each text no tool has."""
    inverse_frequencies: Mapping[int, float]
    """Of the terms that some living tool has."""
    unknown_frequency: float
    """What a word that no tool has would weigh."""

    @classmethod
    def of(cls, snapshot: Snapshot, texts: Sequence[Sequence[str]]) -> "Asked":
        """Look the terms of each text up."""
        counts = tuple(query_terms(words, snapshot.vocabulary) for words in texts)
        unknown = [
            len(words) - sum(known.values()) for words, known in zip(texts, counts, strict=True)
        ]
        size = snapshot.size
        having = {term: snapshot.frequency(term) for term in set().union(*counts)}
        weights = {term: inverse_frequency(size, n) for term, n in having.items() if n > 0}
        return cls(counts, tuple(unknown), weights, inverse_frequency(size, 0))

    def reach(self, text: int) -> float:
        """What a tool scores that is about every word of a text; what no tool has is rare."""
        known = self.counts[text].items()
        total = sum(n * self.inverse_frequencies.get(t, self.unknown_frequency) for t, n in known)
        total += self.unknown[text] * self.unknown_frequency
        return max(total * HIGHEST_TERM_WEIGHT, 1e-6)


def lexical_scores(snapshot: Snapshot, asked: Asked, allowed: Mask) -> ArmScores:
    """BM25F of each text's terms, scaled by the best allowed row."""
    whole, *clauses = asked.counts
    out = np.zeros((len(asked.counts), len(allowed)), np.float32)
    # The whole says what its clauses say, and only the rest is added up a second time.
    rest = Counter(whole)
    for clause in clauses:
        rest.subtract(clause)
    first = len(snapshot.main.rows)
    for row, counts in zip(out, (rest, *clauses), strict=True):
        for term, count in counts.items():
            weight = count * asked.inverse_frequencies.get(term, 0.0)
            if weight:
                snapshot.main.postings.add_scores(term, weight, row[:first])
                snapshot.delta.postings.add_scores(term, weight, row[first:])
    for row in out[1:]:
        out[0] += row
    top = _over_allowed(np.maximum, out, allowed, 0.0)
    factors = np.asarray(1 / np.maximum(top, 1e-6), np.float32)
    return ArmScores(out, factors, np.zeros_like(top))


def dense_scores(snapshot: Snapshot, arm: str, query: Vectors, allowed: Mask) -> ArmScores:
    """Cosines, scaled between the farthest and the nearest allowed row."""
    parts = [part.dense[arm].cosines(query) for part in (snapshot.main, snapshot.delta)]
    raw = np.concatenate(parts, axis=1) if parts[1].size else parts[0]
    high = _over_allowed(np.maximum, raw, allowed, -1.0)
    low = _over_allowed(np.minimum, raw, allowed, 1.0)
    spread = high - low
    same = spread < SAME_COSINE
    factors = np.where(same, np.float32(0), 1 / np.maximum(spread, np.float32(SAME_COSINE)))
    return ArmScores(raw, factors, np.where(same, np.float32(1), -low * factors))


def _over_allowed(better: np.ufunc, rows: Scores, allowed: Mask, initial: float) -> Scores:
    """The best of each row, as a column; with a mask it takes several times as long."""
    if allowed.all():
        found: Scores = better.reduce(rows, axis=1, initial=initial, keepdims=True)
        return found
    masked: Scores = better.reduce(rows, axis=1, initial=initial, keepdims=True, where=allowed)
    return masked


def name_scores(snapshot: Snapshot, text: str, allowed: Mask) -> ArmScores:
    """Share of a query's words that a name contains: what is left when no word is known."""
    out = np.zeros((1, len(allowed)), np.float32)
    words = text.lower().split()
    for place in np.flatnonzero(allowed):
        name = snapshot.row(int(place)).tool.name.lower()
        out[0, place] = sum(word in name for word in words) / max(len(words), 1)
    return ArmScores(out, np.ones((1, 1), np.float32), np.zeros((1, 1), np.float32))


def shares_of(arms: Collection[str], weights: Weights) -> dict[str, float]:
    """Weights of the given arms, made to sum to one.

    Raises:
        ValueError: none of them has a weight.
    """
    total = sum(weights.get(name, 0.0) for name in arms)
    if total <= 0:
        msg = f"weights: none of {sorted(arms)} has one, got {dict(weights)}; give a positive one"
        raise ValueError(msg)
    return {name: weights.get(name, 0.0) / total for name in arms}


def fuse(arms: Mapping[str, ArmScores], shares: Mapping[str, float]) -> Scores:
    """Convex sum over the arms that answered, then the best clause added to the whole: in 0..1."""
    rows = np.zeros_like(next(iter(arms.values())).raw)
    rows += sum(share * arms[name].offsets for name, share in shares.items())
    for name, share in shares.items():
        rows += share * arms[name].factors * arms[name].raw
    return combine_clauses(rows)


def combine_clauses(rows: Scores) -> Scores:
    """The whole query's row and its best clause's."""
    if len(rows) == 1:
        return np.asarray(rows[0], np.float32)
    best = rows[1:].max(axis=0)
    best *= CLAUSE_WEIGHT
    best += rows[0]
    best /= 1 + CLAUSE_WEIGHT
    return np.asarray(best, np.float32)


def best(scores: Scores, allowed: Mask, k: int) -> list[int]:
    """The k best allowed rows, equals all kept (the caller orders them by key)."""
    own = scores if allowed.all() else scores[allowed]
    if len(own) <= k:
        return np.flatnonzero(allowed).tolist()
    # Equal up to rounding is equal: whether a row came by a delta must not order it.
    border = np.partition(own, len(own) - k)[len(own) - k] - 1e-6
    return np.flatnonzero((scores >= border) & allowed).tolist()
