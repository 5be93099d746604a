"""Engine processes as the gateway sees them: load, health, and who may get a request."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from flagscale_workloads.serve.http.upstream import UpstreamPool

# An ejection doubles each time in a row, up to this multiple of the first.
EJECTION_LIMIT: Final = 10


@dataclass(slots=True, eq=False)
class Replica:
    """One engine process; `outstanding` counts the requests that were sent and not finished."""

    name: str
    host: str
    port: int
    pool: UpstreamPool
    outstanding: int = 0
    ready: bool = False
    """Whether the last probe found it healthy."""
    draining: bool = False
    failures: int = 0
    """Failures in a row: answers of 5xx, or none."""
    ejections: int = 0
    ejected_until: float = 0.0

    @classmethod
    def at(cls, name: str, host: str, port: int) -> "Replica":
        """A replica that nothing is known of yet."""
        return cls(name, host, port, UpstreamPool(host, port))

    def available(self, now: float) -> bool:
        """Whether it may get a request."""
        return self.ready and not self.draining and self.ejected_until <= now

    def succeeded(self) -> None:
        """An answer below 500 ends a row of failures."""
        self.failures = 0
        self.ejections = 0

    def failed(self, now: float, *, limit: int, ejection_s: float) -> bool:
        """Count a failure; True when it ejects the replica for a while."""
        self.failures += 1
        if self.failures < limit or self.ejected_until > now:
            return False
        factor = min(2**self.ejections, EJECTION_LIMIT)
        self.ejected_until = now + ejection_s * factor
        self.ejections += 1
        self.failures = 0
        return True


@dataclass(slots=True)
class ReplicaSet:
    """All replicas of the served model; `on_change` is called when more may be available."""

    on_change: list[Callable[[], None]] = field(default_factory=list)
    on_add: list[Callable[[], None]] = field(default_factory=list)
    on_remove: list[Callable[[str], None]] = field(default_factory=list)
    leaving: set[Replica] = field(default_factory=set)
    """Removed ones whose running requests have not ended."""
    _replicas: dict[str, Replica] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Replica]:
        return iter(self._replicas.values())

    def __len__(self) -> int:
        return len(self._replicas)

    def get(self, name: str) -> Replica | None:
        """The replica of that name."""
        return self._replicas.get(name)

    def add(self, replica: Replica) -> None:
        """A replica that gets requests once a probe has found it healthy."""
        self._replicas[replica.name] = replica
        self.changed()
        for told in self.on_add:
            told()

    def remove(self, name: str) -> None:
        """Forget a replica; its running requests end as they end."""
        replica = self._replicas.pop(name, None)
        if replica is None:
            return
        replica.ready = False
        replica.pool.close()
        if replica.outstanding:
            self.leaving.add(replica)
        for told in self.on_remove:
            told(name)

    def expire(self, now: float) -> None:
        """Give up on silent connections, and forget who has left; `now` in the loop's time."""
        for replica in (*self, *self.leaving):
            replica.pool.expire(now)
        self.leaving = {replica for replica in self.leaving if replica.outstanding}

    def changed(self) -> None:
        """Tell who waits that a replica may be available again."""
        for told in self.on_change:
            told()

    def available(self, now: float) -> list[Replica]:
        """Those that may get requests."""
        return [r for r in self._replicas.values() if r.available(now)]
