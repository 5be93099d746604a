"""Who gets the next free place on a replica: a bounded queue, in order, with a deadline."""

import asyncio
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from flagscale_workloads.serve.http.messages import busy
from flagscale_workloads.serve.policies import Policy, RouteKey
from flagscale_workloads.serve.replicas import Replica, ReplicaSet


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    key: RouteKey
    exclude: Collection[str]
    given: asyncio.Future[Replica]


@dataclass(slots=True)
class Dispatcher:
    """Gives each request a place on a replica: `acquire`, and `release` however it ended."""

    replicas: ReplicaSet
    policy: Policy
    per_replica_concurrency: int
    queue_size: int
    queue_timeout_s: float
    hold_timeout_s: float
    """Longest wait of a request that finds no replica ready at all."""
    now: Callable[[], float]
    _waiting: deque[_Waiter] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.replicas.on_change.append(self.wake)
        self.replicas.on_remove.append(self.policy.removed)

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """Requests that have a place."""
        return sum(replica.outstanding for replica in self.replicas)

    @property
    def starved(self) -> bool:
        """Whether requests wait while no replica is ready."""
        return bool(self._waiting) and not self.replicas.available(self.now())

    def choose(self, key: RouteKey, *, exclude: Collection[str] = ()) -> Replica | None:
        """A replica with room, or None; one that is excluded only where there is no other."""
        available = self.replicas.available(self.now())
        others = [r for r in available if r.name not in exclude] if exclude else available
        free = [r for r in others or available if r.outstanding < self.per_replica_concurrency]
        return self.policy.choose(free, key) if free else None

    async def acquire(self, key: RouteKey, *, exclude: Collection[str] = ()) -> Replica:
        """A place on a replica, at once or after a wait; it is counted until `release`.

        Raises HttpError: 429 when the queue is full, 503 when the wait was too long.
        """
        if not self._waiting and (replica := self.choose(key, exclude=exclude)):
            replica.outstanding += 1
            return replica
        if len(self._waiting) >= self.queue_size:
            raise busy(429, "queue_full", f"all {self.queue_size} waiting places are taken")
        waiter = _Waiter(key, exclude, asyncio.get_running_loop().create_future())
        self._waiting.append(waiter)
        self.wake()
        ready = self.replicas.available(self.now())
        timeout_s = self.queue_timeout_s if ready else self.hold_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                return await waiter.given
        except BaseException as error:
            self._withdraw(waiter)
            if isinstance(error, TimeoutError):
                waited = f"no replica was free within {timeout_s:g} s"
                raise busy(503, "no_replica", waited) from None
            raise

    def _withdraw(self, waiter: _Waiter) -> None:
        if waiter in self._waiting:
            self._waiting.remove(waiter)
        elif waiter.given.done() and not waiter.given.cancelled():
            # It was given a place in the moment in which it stopped waiting.
            self.release(waiter.given.result())

    def release(self, replica: Replica) -> None:
        """Give a place back."""
        replica.outstanding -= 1
        if self._waiting:
            self.wake()

    def wake(self) -> None:
        """Give free places to who waits, in order."""
        for waiter in list(self._waiting):
            replica = self.choose(waiter.key, exclude=waiter.exclude)
            if replica:
                replica.outstanding += 1
                self._waiting.remove(waiter)
                waiter.given.set_result(replica)
            elif not waiter.exclude:
                # Who excludes nothing could take any place: there is none for those after, either.
                return
