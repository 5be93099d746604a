"""What may be found at all: decided before anything is ranked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Filter:
    """Empty fields allow everything; given ones must all hold."""

    namespaces: frozenset[str] = frozenset()
    also: frozenset[str] = frozenset()
    """Keys of tools that are in whatever their namespace; alone, they are all that is."""
    categories: frozenset[str] = frozenset()
    servers: frozenset[str] = frozenset()
    subjects: frozenset[str] | None = None
    """Who asks, as subject and groups; None: a caller that may see everything."""
    only_healthy: bool = True


@dataclass(frozen=True, slots=True)
class Coded:
    """A column of few distinct values: the values, and each row's number among them."""

    values: tuple[object, ...]
    codes: NDArray[np.int32]

    @classmethod
    def of(cls, column: Sequence[object]) -> "Coded":
        """Number the values in order of appearance."""
        numbers = {value: i for i, value in enumerate(dict.fromkeys(column))}
        return cls(tuple(numbers), np.array([numbers[value] for value in column], np.int32))

    def among(self, allowed: frozenset[str]) -> Mask:
        """Rows whose value is allowed."""
        table = np.array([value in allowed for value in self.values], np.bool_)
        return np.asarray(table[self.codes], np.bool_)

    def visible(self, subjects: frozenset[str]) -> Mask:
        """Rows whose set of subjects is empty or meets the given one."""
        sets = [value for value in self.values if isinstance(value, frozenset)]
        table = np.array([not one or not one.isdisjoint(subjects) for one in sets], np.bool_)
        return np.asarray(table[self.codes], np.bool_)


@dataclass(frozen=True, slots=True)
class Columns:
    """What filters look at, by row."""

    namespace: Coded
    category: Coded
    server: Coded
    access: Coded
    healthy: Mask

    def mask(self, wanted: Filter, index: Mapping[str, int]) -> Mask:
        """Rows that the filter lets through; `index` is the row of each key."""
        out = self.healthy.copy() if wanted.only_healthy else np.ones(len(self.healthy), np.bool_)
        if not out.size:
            return out
        if wanted.namespaces or wanted.also:
            inside = self.namespace.among(wanted.namespaces)
            inside[[index[key] for key in wanted.also if key in index]] = True
            out &= inside
        for coded, allowed in ((self.category, wanted.categories), (self.server, wanted.servers)):
            if allowed:
                out &= coded.among(allowed)
        if wanted.subjects is not None:
            out &= self.access.visible(wanted.subjects)
        return out
