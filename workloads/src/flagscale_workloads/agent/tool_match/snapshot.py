"""The index at one moment: queries hold one, writers make the next.

A snapshot is two segments and a mark per row that still counts. A change rebuilds only the small
second one; what is removed is marked at once. Statistics are those of the living rows, so that a
snapshot grown by changes scores as one built at once.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flagscale_workloads.agent.tool_match.filters import Filter, Mask
from flagscale_workloads.agent.tool_match.lexical import Vocabulary
from flagscale_workloads.agent.tool_match.segment import Row, Segment

MERGE_ROWS = 512
"""Changes after which both segments become one."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Immutable: a query that began with it ends with it."""

    generation: int
    main: Segment
    delta: Segment
    alive: Mask
    """Rows of main, then of delta."""
    dead_terms: Mapping[int, int]
    """How many dead rows have a term."""
    vocabulary: Vocabulary
    dimensions: Mapping[str, int]

    @classmethod
    def empty(cls, dimensions: Mapping[str, int]) -> "Snapshot":
        """Nothing can be found."""
        none = Segment.build((), dimensions)
        return cls(0, none, none, np.zeros(0, np.bool_), {}, Vocabulary(), dimensions)

    @property
    def size(self) -> int:
        """Living rows."""
        return int(self.alive.sum())

    def get(self, key: str) -> Row | None:
        """The living row of this key."""
        place = self._place(key)
        return None if place is None else self.row(place)

    def row(self, place: int) -> Row:
        """By its place over both segments."""
        first = len(self.main.rows)
        return self.main.rows[place] if place < first else self.delta.rows[place - first]

    def rows(self) -> Iterator[Row]:
        """The living ones."""
        return (self.row(int(place)) for place in np.flatnonzero(self.alive))

    def mask(self, wanted: Filter) -> Mask:
        """Living rows that a filter lets through."""
        parts = [part.columns.mask(wanted, part.index) for part in (self.main, self.delta)]
        allowed = np.concatenate(parts)
        return np.asarray(allowed & self.alive, np.bool_)

    def frequency(self, term: int) -> int:
        """How many living rows have a term."""
        both = self.main.postings.frequency(term) + self.delta.postings.frequency(term)
        return both - self.dead_terms.get(term, 0)

    def changed(self, upserts: Sequence[Row], removed: Iterable[str]) -> "Snapshot":
        """The next snapshot; an upsert replaces the row of its key, the last one wins."""
        fresh = {row.tool.key: row for row in upserts}
        gone = {*removed, *fresh}
        dead = [i for key in gone if (i := self.main.index.get(key)) is not None and self.alive[i]]
        first = len(self.main.rows)
        kept = [row for row in self.delta.rows if row.tool.key not in gone]
        alive = self.alive[:first].copy()
        alive[dead] = False
        delta = [*kept, *fresh.values()]
        if len(delta) + int(first - alive.sum()) > MERGE_ROWS:
            rows = [row for row, lives in zip(self.main.rows, alive, strict=True) if lives]
            return self._built([*rows, *delta])
        terms = Counter(self.dead_terms)
        for i in dead:
            terms.update(self.main.rows[i].document.terms.tolist())
        return Snapshot(
            self.generation + 1,
            self.main,
            Segment.build(delta, self.dimensions),
            np.concatenate([alive, np.ones(len(delta), np.bool_)]),
            terms,
            self.vocabulary,
            self.dimensions,
        )

    def _built(self, rows: Sequence[Row]) -> "Snapshot":
        none = Segment.build((), self.dimensions)
        alive = np.ones(len(rows), np.bool_)
        main = Segment.build(rows, self.dimensions)
        generation = self.generation + 1
        return Snapshot(generation, main, none, alive, {}, self.vocabulary, self.dimensions)

    def _place(self, key: str) -> int | None:
        late = self.delta.index.get(key)
        if late is not None:
            return len(self.main.rows) + late
        early = self.main.index.get(key)
        return early if early is not None and self.alive[early] else None
