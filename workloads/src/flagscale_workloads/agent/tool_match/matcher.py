"""The public door: tools in, the few that answer a request out."""

import os
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from time import perf_counter

from flagscale_workloads.agent.tool_match.answer import Hit, Matches
from flagscale_workloads.agent.tool_match.arms import Arm
from flagscale_workloads.agent.tool_match.categories import (
    Category,
    category_name,
    learn,
    members,
    summarize,
)
from flagscale_workloads.agent.tool_match.confidence import ABSTAIN_BELOW
from flagscale_workloads.agent.tool_match.encoders import Encoder, MiniLmEncoder, StaticEncoder
from flagscale_workloads.agent.tool_match.filters import Filter
from flagscale_workloads.agent.tool_match.indexing import Indexer
from flagscale_workloads.agent.tool_match.recent import Recent
from flagscale_workloads.agent.tool_match.report import ArmReport, CacheReport, arm_report
from flagscale_workloads.agent.tool_match.scoring import Weights
from flagscale_workloads.agent.tool_match.search import Search, Similarity
from flagscale_workloads.agent.tool_match.snapshot import Snapshot
from flagscale_workloads.agent.tool_match.tool import Tool, clean
from flagscale_workloads.agent.tool_match.vectors import VectorStore

DEADLINE_S = 0.5
RESULTS = 4096
QUERY_CHARACTERS = 4096
MOST_HITS = 100
EMBEDDED_AT_ONCE = 32
EVERYTHING = Filter()


class ToolMatcher:
    """Finds the tools that answer a request. Thread-safe; works without any network.

    Without `encoders`, MiniLM and static vectors from installed packages embed; `{}` turns both
    off and leaves the words. An arm that fails or exceeds `deadline_s` is skipped and named in the
    answer. `store` keeps vectors over restarts.
    """

    def __init__(
        self,
        tools: Iterable[Tool] = (),
        *,
        encoders: Mapping[str, Encoder] | None = None,
        store: VectorStore | None = None,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        if encoders is None:
            encoders = {"dense": MiniLmEncoder(), "static": StaticEncoder()}
        self._arms = {name: Arm(name, one, deadline_s) for name, one in encoders.items()}
        self._indexer = Indexer(encoders, store or VectorStore())
        self._snapshot = Snapshot.empty({name: one.dimensions for name, one in encoders.items()})
        self._search = Search(self._arms, beside=len(os.sched_getaffinity(0)) > 1)
        self._results: Recent[Matches] = Recent(RESULTS)
        self._writing = threading.Lock()
        self.update(upsert=tools)

    @property
    def generation(self) -> int:
        """Grows with every change of the index."""
        return self._snapshot.generation

    def __len__(self) -> int:
        return self._snapshot.size

    def update(
        self,
        *,
        upsert: Iterable[Tool] = (),
        remove: Iterable[str] = (),
        defer: Collection[str] = (),
    ) -> int:
        """Apply changes as one; queries see all of them or none. Returns the generation.

        `remove` takes keys (`Tool.key`); unknown ones are ignored. A tool of a known key replaces
        it. Vectors of unchanged texts come from the store. Arms named in `defer` embed no new text
        now: until `embed_missing`, the other arms find those tools.
        """
        tools, keys = list(upsert), list(remove)
        with self._writing:
            if tools or keys:
                rows = self._indexer.rows(tools, self._snapshot, defer=defer)
                self._snapshot = self._snapshot.changed(rows, keys)
            return self._snapshot.generation

    def embed_missing(self, limit: int = EMBEDDED_AT_ONCE) -> int:
        """Embed up to `limit` tools that an arm lacks; returns how many of them it now has.

        Updates do not wait for it, and win: a tool that was changed or removed meanwhile stays so.
        """
        old = self._indexer.lacking(self._snapshot, limit)
        new = self._indexer.completed(old)
        with self._writing:
            better = [
                fresh
                for row, fresh in zip(old, new, strict=True)
                if len(fresh.embedded) > len(row.embedded)
                and self._snapshot.get(row.tool.key) is row
            ]
            if better:
                self._snapshot = self._snapshot.changed(better, ())
        return len(better)

    def get(self, key: str) -> Tool | None:
        """The tool of a key."""
        row = self._snapshot.get(key)
        return row.tool if row else None

    def category(self, key: str) -> str:
        """What a tool is filed under: its own category, or the learned or assigned one."""
        row = self._snapshot.get(key)
        return row.category if row else ""

    def match_tools(
        self,
        query: str,
        k: int = 5,
        *,
        task: str = "",
        where: Filter = EVERYTHING,
        min_confidence: float = ABSTAIN_BELOW,
        weights: Weights | None = None,
    ) -> Matches:
        """The best k tools among those that `where` lets through.

        `task` is what the agent is about, and joins the query. When even the best hit is less
        likely than `min_confidence` to answer, the matcher abstains; 0 never does.

        Raises:
            ValueError: an empty query, a bad k, or weights that name no arm.
        """
        begun = perf_counter()
        text = _text(query, task)
        if not 1 <= k <= MOST_HITS:
            msg = f"k: must be 1 to {MOST_HITS}, got {k}; ask for fewer"
            raise ValueError(msg)
        snapshot = self._snapshot
        named = tuple(sorted(weights.items())) if weights is not None else None
        key = (snapshot.generation, text, k, where, min_confidence, named)
        found = self._results.get(key)
        if found is not None:
            took_ms = (perf_counter() - begun) * 1000
            return replace(found, cached=True, took_ms=took_ms)
        found = self._search.run(snapshot, text, k, where, min_confidence, weights)
        # What a degraded tier says must not outlive the fault.
        if not found.degraded:
            self._results.put(key, found)
        return replace(found, took_ms=(perf_counter() - begun) * 1000)

    def score_tools(
        self, query: str, keys: Collection[str], *, weights: Weights | None = None
    ) -> list[Hit]:
        """The given tools, best first, scaled among all tools of the index.

        Raises:
            ValueError: an empty query, an unknown key, or weights that name no arm.
        """
        snapshot = self._snapshot
        for key in keys:
            if snapshot.get(key) is None:
                msg = f"keys: no such tool, got {key!r}; see Tool.key"
                raise ValueError(msg)
        return self._search.score(snapshot, _text(query, ""), frozenset(keys), weights)

    def compute_similarity(self, first: str, second: str) -> Similarity:
        """How near two texts are, by the best arm that answers.

        Raises:
            ValueError: a text is empty.
        """
        return self._search.similarity(_text(first, ""), _text(second, ""))

    def cache_management(
        self, *, clear: bool = False, results: int | None = None, query_vectors: int | None = None
    ) -> CacheReport:
        """Empty or resize the caches, then tell their state.

        `clear` leaves the stored vectors of tools: they are found by content, so never stale.

        Raises:
            ValueError: a negative size.
        """
        arms = [arm.cache for arm in self._arms.values()]
        for caches, size in (([self._results], results), (arms, query_vectors)):
            if size is not None and size < 0:
                msg = f"size of a cache: must be 0 or more, got {size}; 0 turns it off"
                raise ValueError(msg)
            for cache in caches:
                if clear:
                    cache.clear()
                if size is not None:
                    cache.resize(size)
        return CacheReport.of(self._results, arms, self._indexer.store.count())

    def arms(self) -> tuple[ArmReport, ...]:
        """State of every arm that embeds: its breaker, its counts, what it lacks."""
        return tuple(arm_report(arm, self._snapshot) for arm in self._arms.values())

    def categories(self) -> tuple[Category, ...]:
        """Every category, how many tools it has, and how many of them were learned."""
        return summarize(self._snapshot)

    def learn_categories(self, min_similarity: float = 0.35) -> Mapping[str, str]:
        """Give tools without a category that of the nearest centroid; returns what changed.

        `min_similarity` is a cosine; what is farther from all stays without. What was learned
        before is learned anew, and is empty in the answer where nothing is near any more.
        """
        found = learn(self._snapshot, min_similarity)
        return self._relabel(lambda _: found, learned=True)

    def assign_category(self, keys: Sequence[str], category: str) -> None:
        """Put tools into a category, whatever their own says; empty: back to their own.

        Raises:
            ValueError: the name is too long, or nothing but control characters.
        """
        label = category_name(category) if category else None
        self._relabel(lambda _: dict.fromkeys(keys, label))

    def rename_category(self, old: str, new: str) -> int:
        """Rename a category, or merge it into an existing one; returns how many tools moved.

        Raises:
            ValueError: the new name is empty or too long.
        """
        label = category_name(new)
        if label == old:
            return 0
        return len(self._relabel(lambda now: dict.fromkeys(members(now, old), label)))

    def remove_category(self, name: str) -> int:
        """Leave its tools without a category, also where it is their own; returns how many."""
        return len(self._relabel(lambda now: dict.fromkeys(members(now, name), "")))

    def close(self) -> None:
        """Stop the arms' threads."""
        for arm in self._arms.values():
            arm.close()

    def _relabel(
        self, choose: Callable[[Snapshot], Mapping[str, str | None]], *, learned: bool = False
    ) -> Mapping[str, str]:
        with self._writing:
            # Chosen under the lock: a tool that joins a category meanwhile is not left behind.
            rows = self._indexer.relabel(choose(self._snapshot), self._snapshot, learned=learned)
            if rows:
                self._snapshot = self._snapshot.changed(rows, ())
            return {row.tool.key: row.category for row in rows}


def _text(query: str, task: str) -> str:
    text = clean(f"{task} {query}", QUERY_CHARACTERS)
    if not text:
        msg = f"query: needs at least a word, got {query!r}; say what the tool should do"
        raise ValueError(msg)
    return text
