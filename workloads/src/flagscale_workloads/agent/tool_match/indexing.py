"""Tools to rows: weighed and embedded, whatever fails."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from flagscale_workloads.agent.tool_match.encoders import Encoder
from flagscale_workloads.agent.tool_match.lexical import document
from flagscale_workloads.agent.tool_match.segment import Embedded, Row
from flagscale_workloads.agent.tool_match.snapshot import Snapshot
from flagscale_workloads.agent.tool_match.tool import Tool
from flagscale_workloads.agent.tool_match.vectors import (
    VectorStore,
    text_key,
    text_vectors,
    tool_key,
    tool_vectors,
)
from flagscale_workloads.agent.tool_match.views import Vectors

_log = logging.getLogger(__name__)


class Indexer:
    """Prepares rows. An encoder that fails leaves its tools to the other arms."""

    def __init__(self, encoders: Mapping[str, Encoder], store: VectorStore) -> None:
        self._encoders = encoders
        self.store = store

    def rows(
        self, tools: Sequence[Tool], snapshot: Snapshot, *, defer: Collection[str] = ()
    ) -> list[Row]:
        """One row per tool. A category that was assigned or learned stays while its own does.

        Arms in `defer` embed nothing now: they give what the store has.
        """
        embedded = self._embedded(tools, defer)
        return [_row(tool, snapshot, own) for tool, own in zip(tools, embedded, strict=True)]

    def lacking(self, snapshot: Snapshot, limit: int) -> list[Row]:
        """Up to `limit` living rows that an arm has not embedded."""
        wanted = self._encoders.keys()
        return list(islice((row for row in snapshot.rows() if wanted - row.embedded.keys()), limit))

    def completed(self, rows: Sequence[Row]) -> list[Row]:
        """The same rows with the vectors that can be had now."""
        embedded = self._embedded([row.tool for row in rows], ())
        return [replace(row, embedded=own) for row, own in zip(rows, embedded, strict=True)]

    def relabel(
        self, labels: Mapping[str, str | None], snapshot: Snapshot, *, learned: bool = False
    ) -> list[Row]:
        """Rows whose category becomes another one; empty: none at all, None: the tool's own.

        What was `learned` takes no row that is not open, and what was not makes it final.
        """
        rows = [(row, label) for key, label in labels.items() if (row := snapshot.get(key))]
        changed = [
            (row, row.tool.category if label is None else label, learned and bool(label))
            for row, label in rows
            if row.open or not learned
        ]
        return [
            replace(row, category=label, learned=neighbours)
            for row, label, neighbours in changed
            if (row.category, row.learned) != (label, neighbours)
        ]

    def _embedded(self, tools: Sequence[Tool], defer: Collection[str]) -> list[dict[str, Embedded]]:
        embedded: list[dict[str, Embedded]] = [{} for _ in tools]
        for arm, encoder in self._encoders.items():
            chosen = self._stored(tools, encoder) if arm in defer else range(len(tools))
            own = [tools[place] for place in chosen]
            try:
                vectors = tool_vectors(own, encoder, self.store)
                examples = self._examples(own, encoder)
            except Exception as problem:  # noqa: BLE001 - whatever a model raises, words remain
                _log.warning("arm %s: %d tools not embedded: %s", arm, len(own), problem)
                continue
            for place, vector, known in zip(chosen, vectors, examples, strict=True):
                embedded[place][arm] = Embedded(vector, known)
        return embedded

    def _stored(self, tools: Sequence[Tool], encoder: Encoder) -> list[int]:
        """Places of the tools of which nothing is left to embed."""
        names = [
            [tool_key(tool, encoder), *(text_key(text, encoder) for text in tool.examples)]
            for tool in tools
        ]
        known = self.store.known([name for own in names for name in own])
        return [place for place, own in enumerate(names) if known.issuperset(own)]

    def _examples(self, tools: Sequence[Tool], encoder: Encoder) -> list[Vectors]:
        texts = [text for tool in tools for text in tool.examples]
        rows = text_vectors(texts, encoder, self.store)
        ends = np.cumsum([len(tool.examples) for tool in tools], dtype=np.int64)
        return list(np.split(rows, ends[:-1])) if len(tools) else []


def _row(tool: Tool, snapshot: Snapshot, embedded: Mapping[str, Embedded]) -> Row:
    made = Row(tool, tool.category, document(tool, snapshot.vocabulary), embedded)
    before = snapshot.get(tool.key)
    if before is None or before.tool.category != tool.category:
        return made
    return replace(made, category=before.category, learned=before.learned)
