"""The engines' own metrics under neutral names; a replica's series live as long as the replica."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from flagscale_workloads.backends.adapter import METRIC_KINDS, MetricKind
from flagscale_workloads.serve.http.upstream import Timeouts, UpstreamError
from flagscale_workloads.serve.replicas import Replica, ReplicaSet

_log = logging.getLogger(__name__)
LIMIT_BYTES: Final = 8 * 1024 * 1024
_ABOUT: Final[dict[MetricKind, tuple[str, str]]] = {
    "running": ("flagscale_engine_running", "Requests that the engine computes."),
    "waiting": ("flagscale_engine_waiting", "Requests that wait in the engine."),
    "kv_cache_usage": ("flagscale_engine_kv_cache_usage_ratio", "Used share of the KV cache."),
    "prompt_tokens": ("flagscale_engine_prompt_tokens", "Prompt tokens since its start."),
    "generated_tokens": ("flagscale_engine_generated_tokens", "Tokens made since its start."),
}


SHARES: Final[frozenset[MetricKind]] = frozenset({"kv_cache_usage"})
NEUTRAL: Final[Mapping[MetricKind, str]] = {kind: name for kind, (name, _) in _ABOUT.items()}
"""What another serving process calls them."""


def read_aliases(text: str, aliases: Mapping[MetricKind, str]) -> dict[MetricKind, float]:
    """The neutral values in an engine's exposition.

    Samples of one name, as of several engines behind one door, are added up; of a share the
    largest is told, as half of one cache and half of another is not all.
    """
    kinds = {name: kind for kind, name in aliases.items()}
    values: dict[MetricKind, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if kind := kinds.get(sample.name):
                both = (values.get(kind, 0.0), sample.value)
                values[kind] = max(both) if kind in SHARES else sum(both)
    return values


@dataclass(slots=True, eq=False)
class EngineMetrics(Collector):
    """Scrapes each replica and shows what it said last."""

    replicas: ReplicaSet
    path: str | None
    aliases: Mapping[MetricKind, str]
    own: tuple[str, str]
    interval_s: float = 5.0
    _values: dict[str, dict[MetricKind, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # An engine that is started again under this name has not said anything yet.
        self.replicas.on_remove.append(self._forget)

    async def run(self) -> None:
        """Scrape until cancelled."""
        while True:
            await asyncio.gather(*(self.scrape(replica) for replica in list(self.replicas)))
            await asyncio.sleep(self.interval_s)

    async def scrape(self, replica: Replica) -> None:
        """Ask one replica; what it does not say is not kept from before."""
        data = f"GET {self.path} HTTP/1.1\r\nhost: engine\r\n\r\n".encode()
        try:
            connection = await replica.pool.acquire()
            try:
                connection.request(data, timeouts=Timeouts(2.0, 2.0, 4.0))
                await connection.head()
                text = (await connection.read_all(LIMIT_BYTES)).decode()
            finally:
                replica.pool.release(connection)
            values = read_aliases(text, self.aliases)
            self._keep(replica, values)
        except (UpstreamError, ValueError) as error:
            # Missing is not zero: an engine that does not answer has no series.
            self._keep(replica, {})
            _log.debug("replica %s: no metrics (%s)", replica.name, error)

    def _forget(self, name: str) -> None:
        self._values.pop(name, None)

    def _keep(self, replica: Replica, values: dict[MetricKind, float]) -> None:
        if self.replicas.get(replica.name) is replica:
            self._values[replica.name] = values

    def collect(self) -> Iterable[Metric]:
        """What the replicas that exist now said last."""
        for kind in METRIC_KINDS:
            name, about = _ABOUT[kind]
            family = GaugeMetricFamily(name, about, labels=("model", "revision", "replica"))
            for replica in self.replicas:
                value = self._values.get(replica.name, {}).get(kind)
                if value is not None:
                    family.add_metric((*self.own, replica.name), value)
            yield family
