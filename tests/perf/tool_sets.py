"""Labelled tools and requests, and how well a ranking answers them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from flagscale_workloads.agent import Parameter, Tool

Half = Literal["tune", "test"]
Relevance = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Query:
    """A request and the tools that answer it, by their id in the corpus."""

    text: str
    relevant: Relevance


@dataclass(frozen=True, slots=True)
class ToolSet:
    """Tools by id, and the requests of one half."""

    name: str
    tools: Mapping[str, Tool]
    queries: tuple[Query, ...]


def read_sets(folder: Path, half: Half, most: int) -> list[ToolSet]:
    """All sets of a folder, at most so many requests each."""
    found = [one.parent for one in sorted(folder.glob("*/corpus.jsonl"))]
    if not found:
        msg = f"{folder}: no set there, want <set>/corpus.jsonl; give SETS=<folder>"
        raise FileNotFoundError(msg)
    return [ToolSet(one.name, read_tools(one), read_queries(one, half, most)) for one in found]


def read_tools(folder: Path) -> dict[str, Tool]:
    """Tools by id; the id is the namespace, as equal names are several tools."""
    found = {}
    for row in _rows(folder / "corpus.jsonl"):
        parameters = [
            Parameter(str(one["name"]), str(one.get("description") or ""))
            for one in row.get("params") or []
        ]
        found[str(row["_id"])] = Tool.create(
            str(row["name"]),
            str(row.get("description") or ""),
            namespace=f"{folder.name}-{row['_id']}",
            server=str(row.get("server") or ""),
            category=str(row.get("category") or ""),
            parameters=parameters,
        )
    return found


def read_queries(folder: Path, half: Half, most: int) -> tuple[Query, ...]:
    """Labelled requests of one half, in the order of their hash."""
    labels: dict[str, dict[str, float]] = {}
    if not (folder / "queries.jsonl").is_file():
        return ()
    for line in (folder / "qrels.tsv").read_text().splitlines()[1:]:
        query, tool, score = line.split("\t")
        labels.setdefault(query, {})[tool] = float(score)
    rows = [row for row in _rows(folder / "queries.jsonl") if half_of(str(row["_id"])) == half]
    rows = sorted((row for row in rows if row["_id"] in labels), key=lambda row: _hash(row["_id"]))
    return tuple(Query(str(row["text"]), labels[row["_id"]]) for row in rows[:most])


def half_of(query_id: str) -> Half:
    """By a hash of the id: stable, whatever else is in the set."""
    return "test" if _hash(query_id)[0] % 2 else "tune"


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def ndcg(ranked: Sequence[str], relevant: Relevance, k: int) -> float:
    """Normalised discounted cumulative gain with graded labels."""
    discounts = 1 / np.log2(np.arange(2, k + 2))
    gains = np.array([relevant.get(one, 0.0) for one in ranked[:k]])
    ideal = np.sort(list(relevant.values()))[::-1][:k]
    return float((gains * discounts[: len(gains)]).sum() / (ideal * discounts[: len(ideal)]).sum())


def recall(ranked: Sequence[str], relevant: Relevance, k: int) -> float:
    """Share of the relevant tools among the first k."""
    return len(set(ranked[:k]) & set(relevant)) / len(relevant)


def complete(ranked: Sequence[str], relevant: Relevance, k: int) -> float:
    """1 when all relevant tools are among the first k."""
    return float(set(relevant) <= set(ranked[:k]))


def quality(rankings: Sequence[Sequence[str]], queries: Sequence[Query]) -> dict[str, float]:
    """Means in percent."""
    pairs = list(zip(rankings, (query.relevant for query in queries), strict=True))
    return {
        "ndcg5": 100 * float(np.mean([ndcg(a, b, 5) for a, b in pairs])),
        "recall5": 100 * float(np.mean([recall(a, b, 5) for a, b in pairs])),
        "comp10": 100 * float(np.mean([complete(a, b, 10) for a, b in pairs])),
    }


def rank(scores: NDArray[np.floating[Any]], ids: Sequence[str], k: int = 10) -> list[str]:
    """Ids of the best k; of equals the first."""
    return [ids[i] for i in np.argsort(-scores, kind="stable")[:k]]
