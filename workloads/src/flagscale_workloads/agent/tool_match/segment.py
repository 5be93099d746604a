"""Tools with all that a query needs of them, never changed once built."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flagscale_workloads.agent.tool_match.filters import Coded, Columns
from flagscale_workloads.agent.tool_match.lexical import Document, Postings
from flagscale_workloads.agent.tool_match.packed import Packed
from flagscale_workloads.agent.tool_match.tool import Tool
from flagscale_workloads.agent.tool_match.views import Vectors, unit

EXAMPLES_THAT_COUNT = 3
"""Fewer say more about chance than about a tool: measured, one example hurts."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """A tool's vector of one arm, and those of its examples."""

    tool: Vectors
    examples: Vectors


@dataclass(frozen=True, slots=True)
class Row:
    """A tool, prepared."""

    tool: Tool
    category: str
    """Its own, or the learned one."""
    document: Document
    embedded: Mapping[str, Embedded]
    learned: bool = False
    """Whether `category` came from neighbours, and goes as they go."""

    @property
    def open(self) -> bool:
        """Whether neighbours decide its category: nobody else has."""
        return self.learned or not self.category


@dataclass(frozen=True, slots=True)
class Dense:
    """Vectors of one arm: a row per tool, and the examples of those that have enough."""

    tools: Packed
    examples: Packed
    owners: NDArray[np.int64]
    starts: NDArray[np.int64]
    missing: int
    """Tools that this arm has not embedded."""

    @classmethod
    def build(cls, rows: Sequence[Embedded | None], dimensions: int) -> "Dense":
        """Stack them; the centroid of enough examples is half of the tool's vector."""
        tools = np.zeros((len(rows), dimensions), np.float32)
        owners: list[int] = []
        stacked: list[Vectors] = []
        for i, one in enumerate(rows):
            if one is None:
                continue
            tools[i] = one.tool
            if len(one.examples) >= EXAMPLES_THAT_COUNT:
                tools[i] += unit(one.examples.mean(0, keepdims=True))[0]
                owners.append(i)
                stacked.append(one.examples)
        sizes = [len(examples) for examples in stacked]
        return cls(
            Packed.of(unit(tools)),
            Packed.of(np.concatenate(stacked or [np.zeros((0, dimensions), np.float32)])),
            np.array(owners, np.int64),
            np.cumsum([0, *sizes], dtype=np.int64)[:-1],
            sum(one is None for one in rows),
        )

    def cosines(self, query: Vectors) -> Vectors:
        """Similarity of each query row to each tool: its vector, or its best example if nearer."""
        out = self.tools.products(query)
        if len(self.owners):
            best = np.maximum.reduceat(self.examples.products(query), self.starts, axis=1)
            own = out[:, self.owners]
            out[:, self.owners] = np.maximum(own, (own + best) / 2)
        return out


@dataclass(frozen=True, slots=True)
class Segment:
    """Rows, in order, with their columns."""

    rows: tuple[Row, ...]
    index: Mapping[str, int]
    postings: Postings
    dense: Mapping[str, Dense]
    columns: Columns

    @classmethod
    def build(cls, rows: Sequence[Row], dimensions: Mapping[str, int]) -> "Segment":
        """Index rows of distinct keys."""
        tools = [row.tool for row in rows]
        return cls(
            tuple(rows),
            {tool.key: i for i, tool in enumerate(tools)},
            Postings.build([row.document for row in rows]),
            {
                arm: Dense.build([row.embedded.get(arm) for row in rows], size)
                for arm, size in dimensions.items()
            },
            Columns(
                Coded.of([tool.namespace for tool in tools]),
                Coded.of([row.category for row in rows]),
                Coded.of([tool.server for tool in tools]),
                Coded.of([tool.access for tool in tools]),
                np.array([tool.healthy for tool in tools], np.bool_),
            ),
        )
