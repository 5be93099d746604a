"""Which sequences a step trains on: a pure function of seed, epoch and step."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]


@lru_cache(maxsize=2)
def epoch_order(seed: int, epoch: int, count: int) -> Indices:
    """The permutation of an epoch; two are kept because a batch may straddle the border."""
    order = np.random.Generator(np.random.PCG64([seed, epoch])).permutation(count)
    return order.astype(np.int64, copy=False)


def batch_of(step: int, *, seed: int, batch: int, count: int) -> Indices:
    """Sequence numbers of a step's global batch (1 is the first step), whatever the ranks."""
    start = (step - 1) * batch
    places = range(start, start + batch)
    return np.array([epoch_order(seed, at // count, count)[at % count] for at in places])


def epoch_of(step: int, *, batch: int, count: int) -> float:
    """Passes over the data once the step is done."""
    return step * batch / count
