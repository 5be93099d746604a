"""Lets the scheduler's time pass, and tells each request how far its answer is."""

import asyncio
import os
import time
from collections.abc import Callable

from flagscale_workloads.inference.simulator.faults import FaultScript
from flagscale_workloads.inference.simulator.scheduler import Scheduler, Sequence, Snapshot

# Timers are late by a millisecond or so; steps catch up on that, but not on a stopped process.
_MOST_LAG_S = 0.05
# Tokens that were generated before a death must have left the process.
_LAST_WORDS_S = 0.05
DEATH = 70


class Ticket:
    """One request's view of its sequence."""

    def __init__(self, sequence: Sequence) -> None:
        self.sequence = sequence
        self._visible = 0
        self._changed = asyncio.Event()

    def advance(self) -> None:
        """Make known how far the sequence is."""
        self._visible = self.sequence.generated
        self._changed.set()

    async def beyond(self, tokens: int) -> int:
        """Wait until more than so many tokens are there; their number."""
        while self._visible <= tokens:
            self._changed.clear()
            await self._changed.wait()
        return self._visible

    async def done(self) -> None:
        """Wait until the sequence is finished."""
        while not (self.sequence.finished and self._visible == self.sequence.generated):
            self._changed.clear()
            await self._changed.wait()


class Engine:
    """The one task that steps; everything else only submits and aborts."""

    def __init__(
        self,
        scheduler: Scheduler,
        faults: FaultScript,
        *,
        speed: float = 1.0,
        die: Callable[[int], object] = os._exit,
    ) -> None:
        self._scheduler = scheduler
        self._faults = faults
        self._speed = speed
        self._die = die
        self._tickets: dict[Sequence, Ticket] = {}
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def submit(self, sequence: Sequence) -> Ticket:
        """Queue a sequence."""
        self._scheduler.submit(sequence)
        ticket = self._tickets[sequence] = Ticket(sequence)
        self._idle.clear()
        self._work.set()
        return ticket

    def abort(self, ticket: Ticket) -> None:
        """Free what the request holds; nothing happens if it is over."""
        if self._scheduler.abort(ticket.sequence):
            self._forget(ticket.sequence)
            # Its slot may be what another one waits for.
            self._work.set()

    def faults_changed(self) -> None:
        """Answers that stood still may go on."""
        self._work.set()

    def snapshot(self) -> Snapshot:
        """What metrics tell."""
        return self._scheduler.snapshot()

    async def idle(self) -> None:
        """Wait until no request is left."""
        await self._idle.wait()

    async def run(self) -> None:
        """Step for ever."""
        due = time.monotonic()
        while True:
            self._work.clear()
            step_s = self._scheduler.begin(stall_after=self._faults.faults.hang_after_tokens)
            if step_s is None:
                await self._work.wait()
                due = time.monotonic()
                continue
            now = time.monotonic()
            due = max(due, now - _MOST_LAG_S)
            due += step_s * self._faults.faults.slow_factor / self._speed
            await asyncio.sleep(max(0.0, due - now))
            if self._deliver():
                await asyncio.sleep(_LAST_WORDS_S)
                self._die(DEATH)
                return

    def _deliver(self) -> bool:
        """Tell the requests of a step; whether the process dies of its tokens."""
        for sequence in self._scheduler.complete():
            self._tickets[sequence].advance()
            if sequence.finished:
                self._forget(sequence)
            if sequence.answer_tokens and self._faults.next_token():
                return True
        return False

    def _forget(self, sequence: Sequence) -> None:
        del self._tickets[sequence]
        if not self._tickets:
            self._idle.set()
