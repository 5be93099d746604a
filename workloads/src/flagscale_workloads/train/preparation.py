"""Word that the data is being read: a large corpus takes longer than a run may stand still."""

import time
from collections.abc import Callable

from flagscale_workloads.train.progress import INTERVAL_S, Report, Reporter


class Preparation:
    """Counts pieces of text as they are read, and tells the operator every now and then."""

    def __init__(
        self, reporter: Reporter, *, steps: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._reporter = reporter
        self._steps = steps
        self._clock = clock
        self._pieces = 0
        self._told_at = clock()

    def begin(self) -> None:
        """Nothing is read yet."""
        self._reporter.post(self._report(), urgent=True)

    def advance(self) -> None:
        """A piece was read."""
        self._pieces += 1
        now = self._clock()
        if now - self._told_at >= INTERVAL_S:
            self._told_at = now
            self._reporter.post(self._report())

    def _report(self) -> Report:
        return Report(metrics={"total_steps": self._steps, "prepared_pieces": self._pieces})
