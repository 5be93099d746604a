"""The load of every service in memory, as its gateways tell it."""

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from flagscale_operator.kinds.inference_service.load import LoadFact

WINDOW_S: Final = 5.0
"""The load is a mean over this time: HPA looks every 15 s, and a moment may be anything."""
STALE_S: Final = 15.0
"""After this silence nothing is known. Idle gateways report every 5 s."""
CAPACITY: Final = 20_000
GATEWAYS: Final = 64
ServiceKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What a gateway said."""

    requests: float
    """Mean of running and waiting requests since its last report."""
    waiting: int
    """Requests that wait now while no engine is ready."""


@dataclass(slots=True)
class _Entry:
    gateways: OrderedDict[str, deque[tuple[float, LoadReport]]] = field(default_factory=OrderedDict)
    last_at: float = float("-inf")
    busy_at: float = 0.0

    def put(self, gateway: str, report: LoadReport, now: float) -> None:
        reports = self.gateways.setdefault(gateway, deque())
        reports.append((now, report))
        self.gateways.move_to_end(gateway)
        for name in [n for n, told in self.gateways.items() if told[-1][0] < now - STALE_S]:
            del self.gateways[name]
        while len(self.gateways) > GATEWAYS:
            self.gateways.popitem(last=False)
        while len(reports) > 1 and reports[0][0] < now - WINDOW_S:
            reports.popleft()
        # After a silence nobody knows whether somebody asked meanwhile.
        if report.requests or report.waiting or now - self.last_at > STALE_S:
            self.busy_at = now
        self.last_at = now

    def fact(self, now: float) -> LoadFact | None:
        """The sum over all gateways that are not silent."""
        told = [t for t in self.gateways.values() if t[-1][0] >= now - STALE_S]
        if not told:
            return None
        return LoadFact(
            requests=sum(_mean(reports, now) for reports in told),
            waiting=sum(reports[-1][1].waiting for reports in told),
            idle_s=now - self.busy_at,
        )


def _mean(reports: deque[tuple[float, LoadReport]], now: float) -> float:
    recent = [report.requests for at, report in reports if at >= now - WINDOW_S]
    return sum(recent) / len(recent) if recent else reports[-1][1].requests


class LoadBoard:
    """Implements `LoadSource`; all methods belong to one event loop."""

    def __init__(
        self,
        *,
        on_change: Callable[[str, str], None],
        clock: Callable[[], float],
        capacity: int = CAPACITY,
    ) -> None:
        """`on_change` is called when a service gets busy, idle, or has requests that wait."""
        self._on_change = on_change
        self._clock = clock
        self._capacity = capacity
        self._entries: OrderedDict[ServiceKey, _Entry] = OrderedDict()
        self._told: dict[ServiceKey, tuple[bool, bool]] = {}

    def put(self, namespace: str, name: str, *, gateway: str, report: LoadReport) -> None:
        """Take the report of one gateway."""
        key = (namespace, name)
        entry = self._entries.setdefault(key, _Entry())
        entry.put(gateway, report, self._clock())
        self._entries.move_to_end(key)
        while len(self._entries) > self._capacity:
            self.forget(*next(iter(self._entries)))
        fact = self.newest(namespace, name)
        state = (bool(report.requests), bool(fact and fact.waiting))
        if self._told.get(key) != state:
            self._told[key] = state
            self._on_change(namespace, name)

    def newest(self, namespace: str, name: str) -> LoadFact | None:
        """See `LoadSource.newest`."""
        entry = self._entries.get((namespace, name))
        return entry.fact(self._clock()) if entry else None

    def forget(self, namespace: str, name: str) -> None:
        """See `LoadSource.forget`."""
        self._entries.pop((namespace, name), None)
        self._told.pop((namespace, name), None)
