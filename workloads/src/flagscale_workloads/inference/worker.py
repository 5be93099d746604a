"""The one thread that owns the model."""

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from flagscale_workloads.inference.errors import RequestError, internal, not_ready, overloaded
from flagscale_workloads.inference.jobs import Failure, Job
from flagscale_workloads.inference.meters import Meters

log = logging.getLogger(__name__)


class Executor(Protocol):
    """What computes jobs of one kind, a step at a time."""

    @property
    def waiting(self) -> int:
        """Jobs that are not computed yet."""

    @property
    def running(self) -> int:
        """Jobs that are being computed."""

    def add(self, job: Job) -> None:
        """Take a job."""

    def step(self) -> None:
        """Compute a part of the jobs."""

    def fail_all(self, error: RequestError) -> None:
        """End all jobs."""


class Worker:
    """Runs executors, one per type of input, in a thread; holds a bounded number of jobs."""

    def __init__(
        self, executors: Mapping[type[Any], Executor], *, max_waiting: int, meters: Meters
    ) -> None:
        self._executors = executors
        self._max_waiting = max_waiting
        self._inbox: list[Job] = []
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        meters.running.set_function(lambda: self._count(lambda executor: executor.running))
        meters.waiting.set_function(lambda: self.waiting)

    @property
    def waiting(self) -> int:
        """Jobs that no step has computed yet."""
        return len(self._inbox) + self._count(lambda executor: executor.waiting)

    @property
    def alive(self) -> bool:
        """Whether jobs are taken."""
        return self._thread.is_alive() and not self._stopping

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Hand a job over. Raises RequestError (503) when too many wait, or after stop()."""
        with self._changed:
            if self._stopping:
                raise not_ready("stopping")
            if self.waiting >= self._max_waiting:
                raise overloaded(self.waiting)
            self._inbox.append(job)
            self._changed.notify()

    def stop(self, *, timeout_s: float | None = None) -> None:
        """End all jobs with an error, and the thread after the step it is in.

        A step that takes longer than the timeout is left to itself.
        """
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while self._take():
            for executor in self._executors.values():
                if executor.waiting or executor.running:
                    self._step(executor)
        for job in self._inbox:
            job.emit(Failure(not_ready("stopping")))
        for executor in self._executors.values():
            executor.fail_all(not_ready("stopping"))

    def _take(self) -> bool:
        """Wait for something to do and take new jobs; False when it is time to stop."""
        with self._changed:
            while not (self._stopping or self._inbox or self._busy()):
                self._changed.wait()
            if self._stopping:
                return False
            jobs, self._inbox = self._inbox, []
            for job in jobs:
                self._executors[type(job.input)].add(job)
        return True

    def _step(self, executor: Executor) -> None:
        try:
            executor.step()
        except Exception:
            # The thread must outlive whatever happens, or all later requests would hang.
            log.exception("a step failed")
            executor.fail_all(internal())

    def _busy(self) -> bool:
        return self._count(lambda executor: executor.waiting + executor.running) > 0

    def _count(self, what: Callable[[Executor], int]) -> int:
        return sum(map(what, self._executors.values()))
