"""Categories learned from the tools that have one."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from flagscale_workloads.agent.tool_match.segment import Row
from flagscale_workloads.agent.tool_match.snapshot import Snapshot
from flagscale_workloads.agent.tool_match.tool import NAME_CHARACTERS, clean
from flagscale_workloads.agent.tool_match.views import unit

TOOLS_OF_A_CATEGORY = 2
"""Fewer make no centroid."""


@dataclass(frozen=True, slots=True)
class Category:
    """A category and its tools."""

    name: str
    tools: int
    learned: int
    """Those whose own text names another one, or none."""


def summarize(snapshot: Snapshot) -> tuple[Category, ...]:
    """By name; tools without a category are not told."""
    rows = [row for row in snapshot.rows() if row.category]
    every = Counter(row.category for row in rows)
    learned = Counter(row.category for row in rows if row.category != row.tool.category)
    return tuple(Category(name, every[name], learned[name]) for name in sorted(every))


def category_name(text: str) -> str:
    """A name as tools carry it: cleaned like theirs, so that filters meet it.

    Raises:
        ValueError: empty once cleaned, or too long.
    """
    name = clean(text, NAME_CHARACTERS + 1)
    if not 1 <= len(name) <= NAME_CHARACTERS:
        msg = (
            f"category: must be 1 to {NAME_CHARACTERS} characters, got {len(name)}; "
            "give a short name"
        )
        raise ValueError(msg)
    return name


def members(snapshot: Snapshot, name: str) -> list[str]:
    """Keys of the tools of a category; none where the name is empty."""
    return [row.tool.key for row in snapshot.rows() if name and row.category == name]


def learn(snapshot: Snapshot, min_similarity: float) -> Mapping[str, str]:
    """Nearest centroid of each open tool, by the first arm that embedded it; empty: none is near.

    Learned categories make no centroid: they follow those that were given, in whatever order tools
    came, so that two replicas learn the same.
    """
    rows = list(snapshot.rows())
    for arm in snapshot.dimensions:
        known = [row for row in rows if not row.open and arm in row.embedded]
        unknown = [row for row in rows if row.open and arm in row.embedded]
        counts = Counter(row.category for row in known)
        names = sorted(name for name, n in counts.items() if n >= TOOLS_OF_A_CATEGORY)
        if names and unknown:
            return _nearest(names, known, unknown, arm, min_similarity)
    return {row.tool.key: "" for row in rows if row.learned}


def _nearest(
    names: list[str], known: list[Row], unknown: list[Row], arm: str, min_similarity: float
) -> Mapping[str, str]:
    numbers = {name: i for i, name in enumerate(names)}
    centroids = np.zeros((len(names), known[0].embedded[arm].tool.shape[0]), np.float32)
    for row in known:
        if row.category in numbers:
            centroids[numbers[row.category]] += row.embedded[arm].tool
    cosines = np.stack([row.embedded[arm].tool for row in unknown]) @ unit(centroids).T
    return {
        row.tool.key: names[int(own.argmax())] if own.max() >= min_similarity else ""
        for row, own in zip(unknown, cosines, strict=True)
    }
