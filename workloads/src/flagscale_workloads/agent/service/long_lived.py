"""Objects of the index, which no collection of garbage needs to look at again."""

import gc
from typing import Final

GROWTH: Final = 2
"""Freezing looks at all objects once, so it is done as often as the index doubles."""


class LongLived:
    """Freezes what lives now, once the index has grown.

    A full collection stops every thread: at 10,000 tools for 85 ms, once the index is frozen for
    17. What is frozen still goes when nothing refers to it; rows of the index are in no cycles.
    """

    def __init__(self) -> None:
        self._tools = 0

    def settled(self, tools: int) -> None:
        """The index holds so many tools and changes little."""
        if tools >= max(1, GROWTH * self._tools):
            gc.collect()
            gc.freeze()
            self._tools = tools
