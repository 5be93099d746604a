"""BM25F with precomputed postings.

The weight of a term in a tool depends on that tool alone: lengths are compared with fixed reference
lengths, not with averages of the index, and the inverse document frequency joins at query time. So
a tool that comes or goes changes no stored weight, and an index that grew by deltas scores exactly
as one that was built at once.

Source: Robertson, Zaragoza, Taylor: Simple BM25 Extension to Multiple Weighted Fields (2004).
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from flagscale_workloads.agent.tool_match.tool import Tool
from flagscale_workloads.agent.tool_match.words import terms

Scores = NDArray[np.float32]
Rows = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Field:
    """How much a field's words count, how its length is punished, what length is usual."""

    boost: float
    length_share: float
    reference_terms: float


FIELDS: Final[Mapping[str, Field]] = {
    "name": Field(2.0, 0.5, 3),
    "description": Field(1.0, 0.6, 15),
    "place": Field(1.0, 0.5, 2),
    "parameters": Field(0.8, 0.6, 6),
    "parameter_texts": Field(0.6, 0.7, 30),
    "examples": Field(1.0, 0.6, 40),
}
WHOLE: Final = Field(1.0, 0.6, 50)
SATURATION: Final = 1.5
WHOLE_SHARE: Final = 0.4
"""Part of a term's weight that ignores fields; over-tuned fields lose where names say nothing."""


@dataclass(slots=True)
class Vocabulary:
    """Numbers of terms. It only grows, so that snapshots can share it with the writer."""

    ids: dict[str, int] = field(default_factory=dict)

    def add(self, term: str) -> int:
        """The term's number, a new one if need be."""
        return self.ids.setdefault(term, len(self.ids))


@dataclass(frozen=True, slots=True)
class Document:
    """A tool's terms and their weights."""

    terms: Rows
    weights: Scores


def field_terms(tool: Tool) -> dict[str, list[str]]:
    """What is read of a tool, by field."""
    return {
        "name": terms(tool.name),
        "description": terms(tool.description),
        "place": terms(" ".join(dict.fromkeys((tool.server, tool.category, *tool.tags)))),
        "parameters": [term for one in tool.parameters for term in terms(one.name)],
        "parameter_texts": [term for one in tool.parameters for term in terms(one.description)],
        "examples": [term for one in tool.examples for term in terms(one)],
    }


def document(tool: Tool, vocabulary: Vocabulary) -> Document:
    """Weigh the terms of one tool."""
    found = field_terms(tool)
    whole = [term for one in found.values() for term in one]
    by_field: Counter[str] = Counter()
    for name, words in found.items():
        kind = FIELDS[name]
        norm = _length_norm(kind, len(words))
        for term, count in Counter(words).items():
            by_field[term] += kind.boost * count / norm  # type: ignore[assignment]
    flat_norm = _length_norm(WHOLE, len(whole))
    flat = {term: count / flat_norm for term, count in Counter(whole).items()}
    weights = [
        (1 - WHOLE_SHARE) * _saturated(by_field[term]) + WHOLE_SHARE * _saturated(flat[term])
        for term in flat
    ]
    ids = [vocabulary.add(term) for term in flat]
    return Document(np.array(ids, np.int32), np.array(weights, np.float32))


def _length_norm(kind: Field, length: int) -> float:
    return 1 - kind.length_share + kind.length_share * length / kind.reference_terms


def _saturated(frequency: float) -> float:
    return frequency * (SATURATION + 1) / (SATURATION + frequency)


@dataclass(frozen=True, slots=True)
class Postings:
    """Rows and weights of each term, one after the other."""

    starts: Sequence[int]
    """Where each term's rows begin; plain integers, which are read one at a time."""
    rows: Rows
    weights: Scores
    size: int
    """Number of documents."""

    @classmethod
    def build(cls, documents: Sequence[Document]) -> "Postings":
        """Sort the terms of all documents."""
        lengths = [len(one.terms) for one in documents]
        ids = np.concatenate([one.terms for one in documents] or [np.zeros(0, np.int32)])
        weights = np.concatenate([one.weights for one in documents] or [np.zeros(0, np.float32)])
        rows = np.repeat(np.arange(len(documents), dtype=np.int32), lengths)
        order = np.argsort(ids, kind="stable")
        counts = np.bincount(ids) if ids.size else np.zeros(0, np.int64)
        starts = [0, *np.cumsum(counts).tolist()]
        return cls(starts, rows[order], weights[order], len(documents))

    def frequency(self, term: int) -> int:
        """In how many documents it is."""
        if term + 1 >= len(self.starts):
            return 0
        return self.starts[term + 1] - self.starts[term]

    def add_scores(self, term: int, weight: float, out: Scores) -> None:
        """Add a term's part to every document that has it."""
        if term + 1 < len(self.starts):
            part = slice(self.starts[term], self.starts[term + 1])
            # A document has a term once, so no row is lost.
            out[self.rows[part]] += weight * self.weights[part]


def inverse_frequency(documents: int, having: int) -> float:
    """BM25's, which is never negative."""
    return math.log1p((documents - having + 0.5) / (having + 0.5))


def query_terms(words: Sequence[str], vocabulary: Vocabulary) -> dict[int, int]:
    """Known terms of a query and how often it says them."""
    ids = vocabulary.ids
    return dict(Counter(ids[word] for word in words if word in ids))
