"""Watching replicas: a probe each interval, and connections that were silent for too long."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from flagscale_workloads.serve.http.upstream import Timeouts, UpstreamError
from flagscale_workloads.serve.replicas import Replica, ReplicaSet

_log = logging.getLogger(__name__)
OK: Final = 200
CLOSING: Final = 503
BODY_LIMIT_BYTES: Final = 65536


@dataclass(slots=True)
class Prober:
    """Asks each replica for its health; `failures` in a row take it out, one success brings it in.

    A replica that is taken out fails the requests that wait for its first byte, so that they move
    on instead of waiting for their own timeouts. So does one that has left and is silent.
    """

    replicas: ReplicaSet
    path: str
    interval_s: float
    timeout_s: float
    failures: int
    now: Callable[[], float]
    doors: bool = False
    """Replicas are serving processes like this one: one that says 503 ends what it has begun."""
    _failed: dict[str, int] = field(default_factory=dict)

    async def run(self) -> None:
        """Probe until cancelled; who is added between two rounds is asked at once."""
        added = asyncio.Event()
        self.replicas.on_add.append(added.set)
        loop = asyncio.get_running_loop()
        while True:
            added.clear()
            await self.probe_all()
            ends = loop.time() + self.interval_s
            with contextlib.suppress(TimeoutError):
                while True:
                    async with asyncio.timeout_at(ends):
                        await added.wait()
                    added.clear()
                    await self._probe([r for r in self.replicas if self._is_new(r)])

    def _is_new(self, replica: Replica) -> bool:
        return not replica.ready and replica.name not in self._failed

    async def _probe(self, replicas: Sequence[Replica]) -> None:
        results = await asyncio.gather(*(self._status(replica) for replica in replicas))
        for replica, status in zip(replicas, results, strict=True):
            self._judge(replica, status)

    async def probe_all(self) -> None:
        """One round, all replicas at the same time."""
        replicas = [*self.replicas, *self.replicas.leaving]
        await self._probe(replicas)
        names = {replica.name for replica in replicas}
        self._failed = {name: count for name, count in self._failed.items() if name in names}

    async def _status(self, replica: Replica) -> int | None:
        """What it says of its health; None when it says nothing."""
        data = b"GET " + self.path.encode() + b" HTTP/1.1\r\nhost: engine\r\n\r\n"
        timeouts = Timeouts(self.timeout_s, self.timeout_s, self.timeout_s)
        try:
            # A connection of its own: a kept one may be answered while new ones are not.
            async with asyncio.timeout(self.timeout_s):
                connection = await replica.pool.acquire(fresh=True)
                try:
                    connection.request(data, timeouts=timeouts)
                    head = await connection.head()
                    await connection.read_all(BODY_LIMIT_BYTES)
                finally:
                    replica.pool.release(connection)
        except (UpstreamError, TimeoutError):
            return None
        return head.status

    def _judge(self, replica: Replica, status: int | None) -> None:
        if status == OK:
            self._failed.pop(replica.name, None)
            if not replica.ready and self.replicas.get(replica.name) is replica:
                replica.ready = True
                _log.info("replica %s: ready", replica.name)
                self.replicas.changed()
            return
        failed = self._failed.get(replica.name, 0) + 1
        self._failed[replica.name] = failed
        if failed < self.failures:
            return
        if replica.ready:
            replica.ready = False
            _log.warning("replica %s: %d probes failed; taken out", replica.name, failed)
        elif replica not in self.replicas.leaving:
            return
        if not (self.doors and status == CLOSING):
            replica.pool.give_up_unanswered("its health probes fail")
