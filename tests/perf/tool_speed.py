"""One size of index in a process of its own: `python -m perf.tool_speed SIZE FOLDER STORE`.

One core. The last line is one JSON object.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import psutil

from flagscale_workloads.agent import Tool, ToolMatcher, VectorStore
from perf.tool_sets import read_sets

QUERIES = 60
"""Of each set."""
ROUNDS = 3


def pool(folder: Path, size: int) -> tuple[list[Tool], list[str]]:
    """So many tools of all sets, the same ones again in other namespaces if need be."""
    sets = read_sets(folder, "test", QUERIES)
    every = [tool for one in sets for tool in one.tools.values()]
    # A fixed order that mixes the sets, so that a small pool is like the large one.
    order = np.random.default_rng(7).permutation(len(every))
    mixed = islice(cycle([every[i] for i in order]), size)
    tools = [
        replace(tool, namespace=f"{tool.namespace}-{i // len(every)}")
        for i, tool in enumerate(mixed)
    ]
    return tools, [query.text for one in sets for query in one.queries]


def times_ms(call: Callable[[str], object], queries: Sequence[str]) -> list[float]:
    """Of each query."""
    found = []
    for query in queries:
        begun = time.perf_counter()
        call(query)
        found.append((time.perf_counter() - begun) * 1000)
    return found


def measure(size: int, folder: Path, store: Path) -> dict[str, float]:
    """Figures of one size."""
    tools, queries = pool(folder, size)
    begun = time.perf_counter()
    # A deadline hides no time here: what is measured is the full answer.
    matcher = ToolMatcher(tools, store=VectorStore(store), deadline_s=10)
    index_s = time.perf_counter() - begun
    times_ms(matcher.match_tools, queries[:20])
    cold, warm, cached = [], [], []
    for _ in range(ROUNDS):
        matcher.cache_management(clear=True)
        cold.append(times_ms(matcher.match_tools, queries))
        # Another k misses the results but finds the vectors.
        warm.append(times_ms(lambda query: matcher.match_tools(query, 4), queries))
        cached.append(times_ms(matcher.match_tools, queries))
    best = [np.min(rounds, axis=0) for rounds in (cold, warm, cached)]
    figures = {
        "p50_ms": float(np.percentile(best[0], 50)),
        "p99_ms": float(np.percentile(best[0], 99)),
        "vector_cached_p50_ms": float(np.percentile(best[1], 50)),
        "cached_p50_ms": float(np.percentile(best[2], 50)),
        "queries_per_s": 1000 / float(np.mean(best[0])),
        "index_s": index_s,
        "rss_mib": psutil.Process().memory_info().rss / 2**20,
    }
    matcher.close()
    return figures


def main() -> int:
    """Print the figures."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    size, folder, store = sys.argv[1:]
    print(json.dumps(measure(int(size), Path(folder), Path(store))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
