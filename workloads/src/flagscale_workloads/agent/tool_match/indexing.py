"""Tools to rows: weighed and embedded, whatever fails."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from flagscale_workloads.agent.tool_match.encoders import Encoder
from flagscale_workloads.agent.tool_match.lexical import document
from flagscale_workloads.agent.tool_match.segment import Embedded, Row
from flagscale_workloads.agent.tool_match.snapshot import Snapshot
from flagscale_workloads.agent.tool_match.tool import Tool
from flagscale_workloads.agent.tool_match.vectors import VectorStore, text_vectors, tool_vectors
from flagscale_workloads.agent.tool_match.views import Vectors

_log = logging.getLogger(__name__)


class Indexer:
    """Prepares rows. An encoder that fails leaves its tools to the other arms."""

    def __init__(self, encoders: Mapping[str, Encoder], store: VectorStore) -> None:
        self._encoders = encoders
        self.store = store

    def rows(self, tools: Sequence[Tool], snapshot: Snapshot) -> list[Row]:
        """One row per tool. A category that was assigned stays while the tool's own does."""
        embedded: list[dict[str, Embedded]] = [{} for _ in tools]
        for arm, encoder in self._encoders.items():
            try:
                vectors = tool_vectors(tools, encoder, self.store)
                examples = self._examples(tools, encoder)
            except Exception as problem:  # noqa: BLE001 - whatever a model raises, words remain
                _log.warning("arm %s: %d tools not embedded: %s", arm, len(tools), problem)
                continue
            for own, vector, known in zip(embedded, vectors, examples, strict=True):
                own[arm] = Embedded(vector, known)
        return [
            Row(tool, _category(tool, snapshot), document(tool, snapshot.vocabulary), own)
            for tool, own in zip(tools, embedded, strict=True)
        ]

    def relabel(self, labels: Mapping[str, str], snapshot: Snapshot) -> list[Row]:
        """Rows whose category becomes another one; empty: the tool's own."""
        rows = [(row, label) for key, label in labels.items() if (row := snapshot.get(key))]
        changed = [(row, label or row.tool.category) for row, label in rows]
        return [replace(row, category=label) for row, label in changed if row.category != label]

    def _examples(self, tools: Sequence[Tool], encoder: Encoder) -> list[Vectors]:
        texts = [text for tool in tools for text in tool.examples]
        rows = text_vectors(texts, encoder, self.store)
        ends = np.cumsum([len(tool.examples) for tool in tools], dtype=np.int64)
        return list(np.split(rows, ends[:-1])) if len(tools) else []


def _category(tool: Tool, snapshot: Snapshot) -> str:
    before = snapshot.get(tool.key)
    if before is not None and before.tool.category == tool.category:
        return before.category
    return tool.category
