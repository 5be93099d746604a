"""Who gets the next free place on a replica: a bounded queue, in order, with a deadline."""

import asyncio
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from itertools import islice

from flagscale_workloads.serve.http.messages import HttpError
from flagscale_workloads.serve.policies import Policy, RouteKey
from flagscale_workloads.serve.replicas import Replica, ReplicaSet


@dataclass(slots=True)
class Dispatcher:
    """Gives each request a replica with room for it."""

    replicas: ReplicaSet
    policy: Policy
    per_replica_concurrency: int
    queue_size: int
    queue_timeout_s: float
    now: Callable[[], float]
    _waiting: deque[asyncio.Future[None]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.replicas.on_change.append(self.wake)
        self.replicas.on_remove.append(self.policy.removed)

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return sum(not waiter.done() for waiter in self._waiting)

    def try_now(self, key: RouteKey, *, exclude: Collection[str] = ()) -> Replica | None:
        """A replica with room, or None; one that is excluded only where there is no other."""
        available = self.replicas.available(self.now())
        others = [r for r in available if r.name not in exclude] if exclude else available
        free = [r for r in others or available if r.outstanding < self.per_replica_concurrency]
        return self.policy.choose(free, key) if free else None

    async def acquire(self, key: RouteKey, *, exclude: Collection[str] = ()) -> Replica:
        """A replica, at once or after a wait; the caller counts itself before it awaits again.

        Raises HttpError: 429 when the queue is full, 503 when the wait was too long.
        """
        if not self._waiting and (replica := self.try_now(key, exclude=exclude)):
            return replica
        if len(self._waiting) >= self.queue_size:
            raise self._busy(429, "queue_full", f"all {self.queue_size} waiting places are taken")
        deadline = self.now() + self.queue_timeout_s
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            return await self._wait(waiter, key, exclude, deadline)
        finally:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            self.wake()

    async def _wait(
        self,
        waiter: asyncio.Future[None],
        key: RouteKey,
        exclude: Collection[str],
        deadline: float,
    ) -> Replica:
        while True:
            remaining_s = deadline - self.now()
            try:
                async with asyncio.timeout(max(remaining_s, 0)):
                    await waiter
            except TimeoutError:
                waited = f"no replica was free within {self.queue_timeout_s:g} s"
                raise self._busy(503, "no_replica", waited) from None
            if replica := self.try_now(key, exclude=exclude):
                return replica
            place = self._waiting.index(waiter)
            waiter = asyncio.get_running_loop().create_future()
            self._waiting[place] = waiter
            self._wake_first_after(place)

    def wake(self) -> None:
        """Let the first in the queue look again: a place was freed or a replica came."""
        self._wake_first_after(-1)

    def _wake_first_after(self, place: int) -> None:
        for waiter in islice(self._waiting, place + 1, None):
            if not waiter.done():
                waiter.set_result(None)
                return

    def _busy(self, status: int, code: str, what: str) -> HttpError:
        headers = ((b"retry-after", b"1"),)
        return HttpError(status, code, f"gateway: {what}; try again later", headers=headers)
