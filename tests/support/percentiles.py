"""The one definition of a percentile that all figures use."""

import math
from collections.abc import Sequence


def percentile(values: Sequence[float], percent: float) -> float:
    """Nearest-rank percentile. Raises ValueError for no values."""
    if not values:
        msg = "percentile: needs at least one value, got none; measure something first"
        raise ValueError(msg)
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
