"""Questions to the outside, asked again and again in the background; news wake who waits for them.

Reconciles never wait for a server: they read the newest answer. Tools that share a question share
its answer.
"""

import asyncio
import functools
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from typing import Any, Final, Generic, TypeVar

from flagscale_operator.controller.queue import Key, KeyedQueue
from flagscale_operator.controller.runner import ReconcileObserver, run_workers

Q = TypeVar("Q", bound=Hashable)
A = TypeVar("A")
NEWS_S: Final = 1.0
FOLLOWERS: Final = 64
"""Connections that are held open; what is beyond is asked at its pace only."""
Follow = Callable[[Q, Callable[[], None]], Coroutine[Any, Any, None]]
"""Calls back when a question may have another answer; ends when it can't tell. Must not raise."""


class Inquiries(Generic[Q, A]):
    """The newest answer of each question that somebody is interested in."""

    def __init__(
        self,
        ask: Callable[[Q], Awaitable[A]],
        *,
        name: str,
        pace_s: Callable[[Q, A, int], float],
        wake: Callable[[Key], None],
        follow: Follow[Q] | None = None,
    ) -> None:
        """`ask` must not raise.

        `pace_s` tells when to ask again, from question, answer and how often it came in a row.
        `follow` tells of news in between, where it can.
        """
        self._ask = ask
        self._name = name
        self._pace_s = pace_s
        self._wake = wake
        self._follow = follow
        self._followers: dict[Q, asyncio.Task[None]] = {}
        self._queue = KeyedQueue()
        self._questions: dict[Key, Q] = {}
        self._keys: dict[Q, Key] = {}
        self._interested: defaultdict[Q, set[Key]] = defaultdict(set)
        self._asked_by: dict[Key, Q] = {}
        self._answers: dict[Q, tuple[A, int]] = {}
        self._numbers = 0

    def newest(self, who: Key, question: Q) -> A | None:
        """The newest answer; None: none yet, and `who` is woken once there is one."""
        if self._asked_by.get(who) != question:
            self.forget(who)
            self._asked_by[who] = question
            self._interested[question].add(who)
            if question not in self._keys:
                self._numbers += 1
                key = Key(self._name, "", str(self._numbers))
                self._keys[question], self._questions[key] = key, question
                self._queue.add(key)
        known = self._answers.get(question)
        return known[0] if known else None

    def forget(self, who: Key) -> None:
        """`who` is not interested any more; what nobody is interested in is not asked."""
        question = self._asked_by.pop(who, None)
        if question is None:
            return
        self._interested[question].discard(who)
        if not self._interested[question]:
            del self._interested[question]
            self._questions.pop(self._keys.pop(question))
            self._answers.pop(question, None)
            if follower := self._followers.pop(question, None):
                follower.cancel()

    async def run(self, *, workers: int, observer: ReconcileObserver) -> None:
        """Ask until cancelled."""
        try:
            await run_workers(self._queue, self._look, workers=workers, observer=observer)
        finally:
            for follower in self._followers.values():
                follower.cancel()

    async def _look(self, key: Key) -> float | None:
        question = self._questions.get(key)
        if question is None:
            return None
        answer = await self._ask(question)
        if question not in self._keys:
            return None
        before = self._answers.get(question)
        same = before is not None and before[0] == answer
        times = before[1] + 1 if before and same else 1
        self._answers[question] = (answer, times)
        if not same:
            for who in self._interested[question]:
                self._wake(who)
        self._follow_up(question, key)
        return self._pace_s(question, answer, times)

    def _follow_up(self, question: Q, key: Key) -> None:
        """Have it told when the answer may be another one; a lost follower is replaced."""
        follower = self._followers.get(question)
        if self._follow is None or (follower and not follower.done()):
            return
        if follower or len(self._followers) < FOLLOWERS:
            # Not at once: a server that tells of a change every moment is not asked as often.
            soon = functools.partial(self._queue.add_after, key, NEWS_S)
            self._followers[question] = asyncio.create_task(self._follow(question, soon))
