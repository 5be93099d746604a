"""Prometheus metrics, read from the scheduler when they are asked for."""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from flagscale_workloads.inference.simulator.scheduler import Snapshot


class EngineCollector(Collector):
    """The metrics of one engine."""

    def __init__(self, snapshot: Callable[[], Snapshot], *, model: str) -> None:
        self._snapshot = snapshot
        self._labels = {"model_name": model}

    def collect(self) -> Iterator[Metric]:
        """All metrics, as they are now."""
        now = self._snapshot()
        gauges = (
            ("requests_running", "Requests that are computed.", now.running),
            ("requests_waiting", "Requests in the queue.", now.waiting),
            ("kv_cache_usage_ratio", "Share of the KV cache in use, 0 to 1.", now.kv_cache_usage),
        )
        counters = (
            ("prompt_tokens", "Tokens of prompts.", now.prompt_tokens),
            ("generated_tokens", "Tokens of answers.", now.generated_tokens),
            ("prefix_cache_hit_tokens", "Found in the cache.", now.prefix_cache_hit_tokens),
        )
        for name, text, value in gauges:
            gauge = GaugeMetricFamily(f"simulator_{name}", text, labels=list(self._labels))
            gauge.add_metric(list(self._labels.values()), value)
            yield gauge
        for name, text, value in counters:
            counter = CounterMetricFamily(f"simulator_{name}", text, labels=list(self._labels))
            counter.add_metric(list(self._labels.values()), value)
            yield counter


def exposition(collector: EngineCollector) -> bytes:
    """Prometheus's text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    return generate_latest(registry)
