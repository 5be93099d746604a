"""The newest report of every job, in memory; who reads it is told of changes at a bounded pace."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from flagscale_operator.kinds.train_job.facts import ProgressFact
from flagscale_operator.progress.protocol import Refused, Report

QUIET_S = 5.0
CAPACITY = 20_000
JobKey = tuple[str, str]


class Timer(Protocol):
    """A call that can be taken back."""

    def cancel(self) -> None:
        """Don't make the call."""


Later = Callable[[float, Callable[[], None]], Timer]


@dataclass(slots=True)
class _Entry:
    fact: ProgressFact
    told_at: datetime | None = None
    timer: Timer | None = None


class ProgressBoard:
    """Implements `ProgressSource`; all methods belong to one event loop."""

    def __init__(
        self,
        *,
        on_change: Callable[[str, str], None],
        clock: Callable[[], datetime],
        later: Later | None = None,
        capacity: int = CAPACITY,
    ) -> None:
        self._on_change = on_change
        self._clock = clock
        self._later: Later = later or asyncio.get_running_loop().call_later
        self._capacity = capacity
        self._entries: OrderedDict[JobKey, _Entry] = OrderedDict()
        self._asked: OrderedDict[JobKey, None] = OrderedDict()

    def put(self, namespace: str, name: str, *, attempt: int, report: Report) -> None:
        """Take a report of a pod of that attempt.

        Raises:
            Refused: 409, a later attempt has reported already.
        """
        key = (namespace, name)
        entry = self._entries.get(key)
        before = entry.fact if entry and entry.fact.attempt == attempt else None
        if entry and entry.fact.attempt > attempt:
            msg = f"attempt: is over, got {attempt}; attempt {entry.fact.attempt} runs now"
            raise Refused(409, msg)
        fact = _merged(before, attempt, report, self._clock())
        if entry is None:
            entry = self._entries[key] = _Entry(fact)
        entry.fact = fact
        self._entries.move_to_end(key)
        self._trim()
        if before and fact.checkpoint != before.checkpoint:
            self.clear(namespace, name)
        if before is None or fact != before:
            self._tell(key, entry, urgent=_urgent(before, fact))

    def newest(self, namespace: str, name: str) -> ProgressFact | None:
        """See `ProgressSource.newest`."""
        entry = self._entries.get((namespace, name))
        return entry.fact if entry else None

    def request_checkpoint(self, namespace: str, name: str) -> None:
        """Answer the job's posts with a wish for a checkpoint, until a new one is reported."""
        self._asked[namespace, name] = None
        while len(self._asked) > self._capacity:
            self._asked.popitem(last=False)

    def checkpoint_requested(self, namespace: str, name: str) -> bool:
        """Whether the next answer asks for a checkpoint."""
        return (namespace, name) in self._asked

    def clear(self, namespace: str, name: str) -> None:
        """Ask for no checkpoint any more."""
        self._asked.pop((namespace, name), None)

    def forget(self, namespace: str, name: str) -> None:
        """See `ProgressSource.forget`."""
        self.clear(namespace, name)
        entry = self._entries.pop((namespace, name), None)
        if entry and entry.timer:
            entry.timer.cancel()

    def _trim(self) -> None:
        while len(self._entries) > self._capacity:
            self.forget(*next(iter(self._entries)))

    def _tell(self, key: JobKey, entry: _Entry, *, urgent: bool) -> None:
        quiet_s = QUIET_S
        if entry.told_at is not None:
            quiet_s = (self._clock() - entry.told_at).total_seconds()
        # A clock that was set back must not silence a job: negative counts as long ago.
        if urgent or not 0 <= quiet_s < QUIET_S:
            self._tell_now(key, entry)
        elif entry.timer is None:
            entry.timer = self._later(QUIET_S - quiet_s, lambda: self._tell_now(key, entry))

    def _tell_now(self, key: JobKey, entry: _Entry) -> None:
        if entry.timer:
            entry.timer.cancel()
        entry.timer, entry.told_at = None, self._clock()
        self._on_change(*key)


def _merged(
    before: ProgressFact | None, attempt: int, report: Report, now: datetime
) -> ProgressFact:
    """The report as a fact; what an attempt said once and leaves out now still holds.

    The last post of transformers' callback has no step, and only the post right after a save names
    the checkpoint.
    """
    fact = ProgressFact(
        attempt=attempt,
        advanced_at=now,
        percent=report.percent,
        remaining_s=report.remaining_s,
        metrics={**(before.metrics if before else {}), **report.metrics},
        checkpoint=report.checkpoint or (before.checkpoint if before else None),
    )
    unchanged = before is not None and replace(fact, advanced_at=before.advanced_at) == before
    return before if before is not None and unchanged else fact


def _urgent(before: ProgressFact | None, fact: ProgressFact) -> bool:
    if before is None:
        return True
    finished = fact.percent == 100 and before.percent != 100
    return finished or fact.checkpoint != before.checkpoint
