"""A keyed work queue as client-go's: coalescing, one worker per key, delays, back-off per key.

A key is waiting, being worked on, or both: added while it is worked on, it runs once more after.
So events may come as fast as they like; each costs a set insertion, and a key is never reconciled
by two workers at once. Delays never postpone an earlier wake-up: the soonest wins.
"""

import asyncio
import heapq
import itertools
import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Identity of one object to reconcile."""

    kind: str
    namespace: str
    name: str


class QueueObserver(Protocol):
    """What the queue tells about itself (client-go's workqueue metrics)."""

    def added(self, kind: str, depth: int) -> None:
        """A key was added; `depth` keys of its kind wait now."""

    def taken(self, kind: str, waited_s: float, depth: int) -> None:
        """A key was handed to a worker after `waited_s`."""

    def retried(self, kind: str) -> None:
        """A key was added again after an error."""


BACKOFF_BASE_S = 0.5
BACKOFF_MAX_S = 300.0


class KeyedQueue:
    """The queue; all methods belong to one event loop."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] | None = None,
        observer: QueueObserver | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock or asyncio.get_running_loop().time
        self._observer = observer
        self._jitter = jitter
        self._ready: deque[Key] = deque()
        self._since: dict[Key, float] = {}
        self._depth: Counter[str] = Counter()
        self._active: set[Key] = set()
        self._delayed: list[tuple[float, int, Key]] = []
        self._due: dict[Key, float] = {}
        self._failures: dict[Key, int] = {}
        self._sequence = itertools.count()
        self._wake = asyncio.Event()
        self._closed = False

    def __len__(self) -> int:
        """Keys that are ready and not handed out."""
        return len(self._since)

    def add(self, key: Key) -> None:
        """Run this key soon; once, however often it is added before it runs."""
        self._due.pop(key, None)
        if key in self._since:
            return
        self._since[key] = self._clock()
        self._depth[key.kind] += 1
        if key not in self._active:
            self._ready.append(key)
            self._wake.set()
        if self._observer:
            self._observer.added(key.kind, self._depth[key.kind])

    def add_after(self, key: Key, delay_s: float) -> None:
        """Run this key after a delay, unless it is to run sooner anyway."""
        if delay_s <= 0:
            self.add(key)
            return
        due = self._clock() + delay_s
        if key in self._since or self._due.get(key, float("inf")) <= due:
            return
        self._due[key] = due
        heapq.heappush(self._delayed, (due, next(self._sequence), key))
        self._wake.set()

    def retry(self, key: Key, *, after_s: float | None = None) -> float:
        """Run a failed key again after its back-off (0.5 s doubling to 5 min); the delay in s."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        backoff_s = min(BACKOFF_BASE_S * 2.0 ** min(failures, 20), BACKOFF_MAX_S)
        delay_s = after_s if after_s is not None else backoff_s * (0.75 + 0.5 * self._jitter())
        if self._observer:
            self._observer.retried(key.kind)
        self.add_after(key, delay_s)
        return delay_s

    def forget(self, key: Key) -> None:
        """The key went well: its back-off begins anew."""
        self._failures.pop(key, None)

    async def take(self) -> Key | None:
        """The next key, exclusively until `done`; None once the queue is closed."""
        while not self._closed:
            self._promote()
            if self._ready:
                return self._hand_out(self._ready.popleft())
            self._wake.clear()
            await self._sleep()
        return None

    def done(self, key: Key) -> None:
        """The worker finished; a key that was added meanwhile becomes ready."""
        self._active.discard(key)
        if key in self._since:
            self._ready.append(key)
            self._wake.set()

    def close(self) -> None:
        """No key is handed out any more."""
        self._closed = True
        self._wake.set()

    def oldest_wait_s(self) -> float:
        """How long the oldest ready key has waited (liveness looks at it)."""
        return self._clock() - min(self._since.values()) if self._since else 0.0

    def _hand_out(self, key: Key) -> Key:
        self._active.add(key)
        waited_s = self._clock() - self._since.pop(key)
        self._depth[key.kind] -= 1
        if self._observer:
            self._observer.taken(key.kind, waited_s, self._depth[key.kind])
        if self._ready:
            self._wake.set()
        return key

    def _promote(self) -> None:
        """Move what is due from the delayed keys to the ready ones."""
        now = self._clock()
        while self._delayed and self._delayed[0][0] <= now:
            due, _, key = heapq.heappop(self._delayed)
            if self._due.get(key) == due:
                self.add(key)

    async def _sleep(self) -> None:
        timeout = self._delayed[0][0] - self._clock() if self._delayed else None
        try:
            async with asyncio.timeout(timeout):
                await self._wake.wait()
        except TimeoutError:
            return
