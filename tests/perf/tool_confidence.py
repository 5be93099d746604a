"""How honest the matcher's confidence is, and the fit that made it.

    PYTHONPATH=tests .venv/bin/python -m perf.tool_confidence

fits the logistic functions of `tool_match/confidence.py` on the tune halves and prints them.
Requests of the other sets stand for requests that no tool answers.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flagscale_workloads.agent import MiniLmEncoder, StaticEncoder, ToolMatcher, VectorStore
from flagscale_workloads.agent.tool_match.confidence import ABSTAIN_BELOW, Evidence
from perf.tool_sets import Half, ToolSet, read_sets

ROOT = Path(__file__).resolve().parents[2]
SETS = Path(os.environ.get("SETS") or ROOT.parent / "shared" / "tool-sets")
STORE = Path.home() / ".cache" / "flagscale" / "tools" / "vectors.sqlite"
TIERS = {
    "transformer": (("dense", "static"), ("dense", "static", "lead")),
    "static": (("static",), ("static", "lead")),
    "lexical": ((), ("coverage", "lead")),
}
# Coverage is left out where vectors answer: beside them its factor comes out negative, and more
# words in common must never make a hit less sure.
HITS = 5
QUERIES = 150
RIDGE = 1e-3
Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Judged:
    """One hit of one request."""

    evidence: Evidence
    confidence: float
    first: bool
    right: bool
    answerable: bool


def judged(sets: Sequence[ToolSet], names: Sequence[str]) -> Iterator[Judged]:
    """Hits for own requests, and for those of sets about something else."""
    known = {"dense": MiniLmEncoder, "static": StaticEncoder}
    for one in sets:
        encoders = {name: known[name]() for name in names}
        store = VectorStore(STORE)
        matcher = ToolMatcher(one.tools.values(), encoders=encoders, store=store, deadline_s=30)
        ids = {tool.key: i for i, tool in one.tools.items()}
        own = [(query.text, set(query.relevant)) for query in one.queries]
        foreign = [(text, set[str]()) for text in strangers(one, sets)]
        for text, relevant in own + foreign:
            hits = matcher.match_tools(text, HITS, min_confidence=0).hits
            for rank, hit in enumerate(hits):
                right = ids[hit.tool.key] in relevant
                yield Judged(hit.evidence, hit.confidence, rank == 0, right, bool(relevant))
        matcher.close()


def strangers(one: ToolSet, sets: Sequence[ToolSet]) -> list[str]:
    """Requests of sets that share no tool name with this one, as many as its own."""
    names = {tool.name for tool in one.tools.values()}
    others = [s for s in sets if names.isdisjoint(tool.name for tool in s.tools.values())]
    found = [query.text for other in others for query in other.queries]
    order = np.random.default_rng(3).permutation(len(found))[: len(one.queries)]
    return [found[i] for i in order]


def fit(rows: Sequence[Judged], kinds: Sequence[str]) -> Numbers:
    """Bias and factors by Newton's method."""
    x = np.array([[1.0, *(getattr(row.evidence, kind) for kind in kinds)] for row in rows])
    y = np.array([float(row.right) for row in rows])
    w = np.zeros(x.shape[1])
    for _ in range(30):
        p = 1 / (1 + np.exp(-x @ w))
        hessian = (x * (p * (1 - p))[:, None]).T @ x + RIDGE * np.eye(len(w))
        w = w - np.linalg.solve(hessian, x.T @ (p - y) + RIDGE * w)
    return w


def honesty(rows: Sequence[Judged]) -> dict[str, float]:
    """Figures of first hits: who is sent away, and how far confidence is from the truth."""
    first = [row for row in rows if row.first]
    sure = np.array([row.confidence for row in first])
    right = np.array([row.right for row in first])
    answerable = np.array([row.answerable for row in first])
    away = sure < ABSTAIN_BELOW
    bins = np.minimum((sure * 10).astype(int), 9)
    gaps = [
        abs(sure[bins == i].mean() - right[bins == i].mean()) * (bins == i).mean()
        for i in range(10)
        if (bins == i).any()
    ]
    return {
        "abstained_unanswerable_percent": 100 * float(away[~answerable].mean()),
        "abstained_right_percent": 100 * float(away[right].mean()),
        "calibration_error_points": 100 * float(sum(gaps)),
    }


def measured(half: Half, folder: Path, names: Sequence[str]) -> list[Judged]:
    """Of one half."""
    sets = [one for one in read_sets(folder, half, QUERIES) if one.queries]
    return list(judged(sets, names))


def main() -> int:
    """Print what goes into the code."""
    for tier, (names, kinds) in TIERS.items():
        rows = measured("tune", SETS, names)
        bias, *factors = fit(rows, kinds)
        told = dict(zip(kinds, (round(float(one), 2) for one in factors), strict=True))
        print(f'"{tier}": Logistic({bias:.2f}, {told}),', flush=True)
        print(f"    as the code has it: {honesty(rows)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
