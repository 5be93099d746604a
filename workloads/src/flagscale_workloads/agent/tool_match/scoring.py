"""Scores of one query against a snapshot: each arm's own, then their weighted sum."""

from collections.abc import Mapping, Sequence
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
SAME_COSINE: Final = 1e-6


@dataclass(frozen=True, slots=True)
class ArmScores:
    """One arm: a row for the query and one per clause, over all rows of the snapshot."""

    raw: Scores
    scaled: Scores
    """In 0..1 over the rows that are allowed."""


def lexical_scores(snapshot: Snapshot, texts: Sequence[Sequence[str]], allowed: Mask) -> ArmScores:
    """BM25F of each text's terms, scaled by the best allowed row."""
    out = np.zeros((len(texts), len(allowed)), np.float32)
    size, first = snapshot.size, len(snapshot.main.rows)
    for row, words in zip(out, texts, strict=True):
        for term, count in query_terms(words, snapshot.vocabulary).items():
            having = snapshot.frequency(term)
            if having > 0:
                weight = count * inverse_frequency(size, having)
                snapshot.main.postings.add_scores(term, weight, row[:first])
                snapshot.delta.postings.add_scores(term, weight, row[first:])
    top = out.max(axis=1, initial=0.0, where=_where(allowed), keepdims=True)
    return ArmScores(out, np.asarray(out / np.maximum(top, 1e-6), np.float32))


def dense_scores(snapshot: Snapshot, arm: str, query: Vectors, allowed: Mask) -> ArmScores:
    """Cosines, scaled between the farthest and the nearest allowed row."""
    parts = [part.dense[arm].cosines(query) for part in (snapshot.main, snapshot.delta)]
    raw = np.concatenate(parts, axis=1) if parts[1].size else parts[0]
    where = _where(allowed)
    high = raw.max(axis=1, initial=-1.0, where=where, keepdims=True)
    low = raw.min(axis=1, initial=1.0, where=where, keepdims=True)
    spread = high - low
    scaled = raw - low
    scaled /= np.maximum(spread, SAME_COSINE)
    scaled[spread[:, 0] < SAME_COSINE] = 1
    return ArmScores(raw, scaled)


def _where(allowed: Mask) -> Mask | np.bool:
    """For reductions, which take several times as long with a mask."""
    return np.True_ if allowed.all() else allowed


def name_scores(snapshot: Snapshot, text: str, allowed: Mask) -> ArmScores:
    """Share of a query's words that a name contains: what is left when no word is known."""
    out = np.zeros((1, len(allowed)), np.float32)
    words = text.lower().split()
    for place in np.flatnonzero(allowed):
        name = snapshot.row(int(place)).tool.name.lower()
        out[0, place] = sum(word in name for word in words) / max(len(words), 1)
    return ArmScores(out, out)


def fuse(arms: Mapping[str, ArmScores], weights: Weights) -> Scores:
    """Convex sum over the arms that answered, then the best clause added to the whole.

    The result is in 0..1: weights are those of the given arms, made to sum to one.
    """
    total = sum(weights.get(name, 0.0) for name in arms)
    if total <= 0:
        msg = f"weights: none of {sorted(arms)} has one, got {dict(weights)}; give a positive one"
        raise ValueError(msg)
    rows = sum(weights.get(name, 0.0) / total * one.scaled for name, one in arms.items())
    return combine_clauses(np.asarray(rows, np.float32))


def combine_clauses(rows: Scores) -> Scores:
    """The whole query's row and its best clause's."""
    if len(rows) == 1:
        return np.asarray(rows[0], np.float32)
    best = rows[1:].max(axis=0)
    return np.asarray((rows[0] + CLAUSE_WEIGHT * best) / (1 + CLAUSE_WEIGHT), np.float32)


def best(scores: Scores, allowed: Mask, k: int) -> list[int]:
    """The k best allowed rows, equals all kept (the caller orders them by key)."""
    own = scores if allowed.all() else scores[allowed]
    if len(own) <= k:
        return np.flatnonzero(allowed).tolist()
    # Equal up to rounding is equal: whether a row came by a delta must not order it.
    border = np.partition(own, len(own) - k)[len(own) - k] - 1e-6
    return np.flatnonzero((scores >= border) & allowed).tolist()
