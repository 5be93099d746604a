"""What the engine counts, as Prometheus reads it."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

PREFIX: Final = "flagscale_engine"


class Meters:
    """Counters and gauges in a registry of their own; safe from any thread."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.running = self._gauge("running", "Requests in the batch.")
        self.waiting = self._gauge("waiting", "Requests that wait for a place in the batch.")
        self.cache_usage = self._gauge(
            "kv_cache_usage", "Cached tokens as a share of max_batch times the context length."
        )
        self.prompt_tokens = self._counter("prompt_tokens", "Tokens of prompts computed.")
        self.generated_tokens = self._counter("generated_tokens", "Tokens generated.")
        self.images = self._counter("images", "Images generated.")
        self.out_of_memory = self._counter("out_of_memory", "Batches split for lack of memory.")

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"{PREFIX}_{name}", text, registry=self.registry)

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", text, registry=self.registry)
