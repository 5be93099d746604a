"""Vectors of a text's parts from one pass over the whole text.

So a request for three things costs what a request for one does. Source: Guenther et al., Late
Chunking (2024).
"""

from collections.abc import Sequence

import numpy as np

from flagscale_workloads.agent.tool_match.views import Vectors


def part_sums(
    rows: Vectors, offsets: Sequence[tuple[int, int]], text: str, parts: Sequence[str]
) -> Vectors:
    """Sums of a text's token rows: over all, then over those of each part of it, in their order.

    A token is of the part that its last character is in. The whole stands for a part without
    tokens, as one that was truncated.
    """
    sums, position = [rows.sum(0)], 0
    ends = np.array([end for _, end in offsets], np.int64)
    for part in parts:
        start = max(text.find(part, position), 0)
        position = start + len(part)
        own = (ends > start) & (ends <= position)
        sums.append(rows[own].sum(0) if own.any() else sums[0])
    return np.stack(sums)
