"""Bench of the tool matcher on labelled sets.

    make bench BENCH=tools [SETS=<folder of <set>/{corpus.jsonl,queries.jsonl,qrels.tsv}>]

Quality on the test halves, against BM25, MiniLM alone, static vectors alone and the old formula;
without the transformer; and with all tools in one pool. Then latency, memory and time to index on
one core. Vectors are kept by content in the cache folder, so the first run takes minutes longer.
The last line is one JSON object.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flagscale_workloads.agent import MiniLmEncoder, StaticEncoder, Tool, ToolMatcher, VectorStore
from perf.ranges import report
from perf.tool_confidence import honesty, measured
from perf.tool_rivals import Rankings, by_bm25, by_old_formula, by_vectors
from perf.tool_sets import Query, ToolSet, quality, read_sets

ROOT = Path(__file__).resolve().parents[2]
SETS = Path(os.environ.get("SETS") or ROOT.parent / "shared" / "tool-sets")
CACHE = Path.home() / ".cache" / "flagscale" / "tools"
QUERIES = int(os.environ.get("QUERIES", "400"))
POOL_QUERIES = 100
SIZES = (1_000, 10_000, 100_000)
OLD_SIZE = 10_000
AS_IN_THE_IMAGE = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
DEADLINE_S = 30.0
"""Quality is measured, not the machine's load."""

Rival = Callable[[Mapping[str, Tool], Sequence[str]], Rankings]


def say(text: str) -> None:
    """One line of progress."""
    print(f"[bench tools] {text}", flush=True)


def by_matcher(matcher: ToolMatcher, ids: Mapping[str, str], queries: Sequence[str]) -> Rankings:
    """Ids of the first ten hits."""
    found = []
    for query in queries:
        hits = matcher.match_tools(query, 10, min_confidence=0).hits
        found.append([ids[hit.tool.key] for hit in hits])
    return found


def matched(
    tools: Mapping[str, Tool], queries: Sequence[str], store: VectorStore, names: Sequence[str]
) -> Rankings:
    """By a matcher with these encoders."""
    known = {"dense": MiniLmEncoder, "static": StaticEncoder}
    encoders = {name: known[name]() for name in names}
    matcher = ToolMatcher(tools.values(), encoders=encoders, store=store, deadline_s=DEADLINE_S)
    ids = {tool.key: one for one, tool in tools.items()}
    try:
        return by_matcher(matcher, ids, queries)
    finally:
        matcher.close()


def rivals(store: VectorStore) -> dict[str, Rival]:
    """All that are compared, by the prefix of their figure."""
    dense, static = MiniLmEncoder(2), StaticEncoder()
    return {
        "macro": lambda tools, queries: matched(tools, queries, store, ("dense", "static")),
        "no_transformer": lambda tools, queries: matched(tools, queries, store, ("static",)),
        "words": lambda tools, queries: matched(tools, queries, store, ()),
        "bm25": by_bm25,
        "dense": lambda tools, queries: by_vectors(tools, queries, dense, store),
        "static": lambda tools, queries: by_vectors(tools, queries, static, store),
        "upstream": lambda tools, queries: by_old_formula(tools, queries, dense, store),
    }


def evaluate(sets: Sequence[ToolSet], store: VectorStore) -> dict[str, Any]:
    """Quality of every rival on every set with requests, and the means over sets."""
    asked = [one for one in sets if one.queries]
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name, rival in rivals(store).items():
        found[name] = {
            one.name: quality(rival(one.tools, [q.text for q in one.queries]), one.queries)
            for one in asked
        }
        means = {key: mean(row[key] for row in found[name].values()) for key in METRICS}
        say(f"{name}: " + ", ".join(f"{key} {value:.1f}" for key, value in means.items()))
    figures: dict[str, Any] = {
        f"{name}_ndcg5": mean(row["ndcg5"] for row in rows.values()) for name, rows in found.items()
    }
    figures |= {
        f"macro_{key}": mean(row[key] for row in found["macro"].values())
        for key in ("recall5", "comp10")
    }
    figures["lead_points"] = figures["macro_ndcg5"] - max(figures[f"{one}_ndcg5"] for one in SINGLE)
    figures["no_transformer_loss_points"] = figures["macro_ndcg5"] - figures["no_transformer_ndcg5"]
    return {**figures, "sets": found["macro"]}


METRICS = ("ndcg5", "recall5", "comp10")
SINGLE = ("words", "bm25", "dense", "static")
"""Arms that stand alone."""


def mean(values: Any) -> float:
    """Of any iterable."""
    return float(np.mean(list(values)))


def evaluate_pool(sets: Sequence[ToolSet], store: VectorStore) -> dict[str, float]:
    """All tools in one index, some requests of each set; equal tools elsewhere count as wrong."""
    tools = {f"{one.name}/{i}": tool for one in sets for i, tool in one.tools.items()}
    queries = {
        one.name: [
            Query(q.text, {f"{one.name}/{i}": score for i, score in q.relevant.items()})
            for q in one.queries[:POOL_QUERIES]
        ]
        for one in sets
        if one.queries
    }
    every = [query for part in queries.values() for query in part]
    texts = [query.text for query in every]
    figures = {"pool_tools": float(len(tools))}
    for name, rankings in (
        ("pool", matched(tools, texts, store, ("dense", "static"))),
        ("pool_bm25", by_bm25(tools, texts)),
    ):
        at, scores = 0, []
        for part in queries.values():
            scores.append(quality(rankings[at : at + len(part)], part)["ndcg5"])
            at += len(part)
        figures[f"{name}_ndcg5"] = mean(scores)
    say(f"pool of {len(tools)}: {figures['pool_ndcg5']:.1f}, BM25 {figures['pool_bm25_ndcg5']:.1f}")
    return figures


def speed(store: Path) -> dict[str, float]:
    """Latency, memory and time to index by size, each in a process of its own.

    Compared with the old matcher are the formulas, without anyone's encoder, which is the same for
    both; and whole searches for a request that is new.
    """
    figures: dict[str, float] = {}
    for size in SIZES:
        figures |= told("tool_speed", size, str(SETS), str(store))
    figures |= told("tool_old_speed", OLD_SIZE, str(SETS))
    # A neighbour's busy minute must not decide: of two runs the quicker one counts, for both alike.
    for module, by, *arguments in (
        ("tool_speed", "p50_ms_10k", str(SETS), str(store)),
        ("tool_old_speed", "upstream_p50_ms_10k", str(SETS)),
    ):
        again = told(module, OLD_SIZE, *arguments)
        if again[by] < figures[by]:
            figures |= again
    for name, kind in (("times_upstream_10k", "vector_cached_"), ("times_upstream_whole_10k", "")):
        figures[name] = figures[f"upstream_{kind}p50_ms_10k"] / figures[f"{kind}p50_ms_10k"]
    return figures


def told(module: str, size: int, *arguments: str) -> dict[str, float]:
    """The figures of another process, named after the size."""
    command = [sys.executable, "-m", f"perf.{module}", str(size), *arguments]
    environment = {**os.environ, **AS_IN_THE_IMAGE}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    found = json.loads(done.stdout.splitlines()[-1])
    say(f"{size} tools: " + ", ".join(f"{name} {value:.2f}" for name, value in found.items()))
    return {f"{name}_{size // 1000}k": value for name, value in found.items()}


def rounded(value: Any) -> Any:
    """Figures that can be read."""
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    return round(value, 3)


def main() -> int:
    """Print the figures against their bars."""
    CACHE.mkdir(parents=True, exist_ok=True)
    path = CACHE / "vectors.sqlite"
    store = VectorStore(path)
    try:
        sets = read_sets(SETS, "test", QUERIES)
    except FileNotFoundError as error:
        sys.exit(str(error))
    figures = {**evaluate(sets, store), **evaluate_pool(sets, store)}
    figures |= honesty(measured("test", SETS, ("dense", "static")))
    say(f"abstained: {figures['abstained_unanswerable_percent']:.0f} % of what no tool answers")
    store.close()
    return report("tools", rounded({**figures, **speed(path)}))


if __name__ == "__main__":
    sys.exit(main())
