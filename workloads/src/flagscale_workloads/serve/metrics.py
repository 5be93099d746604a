"""The gateway's own metrics: the same names whatever engine answers."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from flagscale_workloads.serve.replicas import ReplicaSet

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
TOKEN_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.2, 0.5, 1, 2.5)
LABELS = ("model", "revision")


class GatewayMetrics:
    """Counts and times of requests, labelled with model and revision."""

    def __init__(self, registry: CollectorRegistry, *, model: str, revision: str) -> None:
        own = (model, revision)
        self._requests = Counter(
            "flagscale_requests",
            "Requests by path and status code.",
            (*LABELS, "endpoint", "code"),
            registry=registry,
        )
        self._errors = Counter(
            "flagscale_errors",
            "Failures by class, retried ones too.",
            (*LABELS, "class"),
            registry=registry,
        )
        tokens = Counter(
            "flagscale_tokens", "Tokens as engines count them.", (*LABELS, "kind"),
            registry=registry,
        )  # fmt: skip
        self._prompt_tokens = tokens.labels(*own, "prompt")
        self._generated_tokens = tokens.labels(*own, "generated")
        self._key_tokens = Counter(
            "flagscale_key_tokens", "Tokens by API key.", (*LABELS, "key"), registry=registry
        )
        self._times = _Times(registry, own)
        self._own = own
        self._codes: dict[tuple[str, int], Counter] = {}

    def request(self, endpoint: str, code: int, seconds: float) -> None:
        """A request ended."""
        counter = self._codes.get((endpoint, code))
        if counter is None:
            counter = self._requests.labels(*self._own, endpoint, str(code))
            self._codes[endpoint, code] = counter
        counter.inc()
        self._times.request(seconds)

    def queued(self, seconds: float) -> None:
        """A request got its replica after this long."""
        self._times.queue(seconds)

    def first_byte(self, seconds: float) -> None:
        """The first part of a streamed answer went out after this long."""
        self._times.first(seconds)

    def per_token(self, seconds: float) -> None:
        """A streamed answer took this long per token after its first."""
        self._times.token(seconds)

    def error(self, class_: str) -> None:
        """Something failed: connect, timeout, upstream_5xx, truncated, cancelled ..."""
        self._errors.labels(*self._own, class_).inc()

    def tokens(self, prompt: int, generated: int, key: str | None) -> None:
        """Usage of a request."""
        self._prompt_tokens.inc(prompt)
        self._generated_tokens.inc(generated)
        if key is not None:
            self._key_tokens.labels(*self._own, key).inc(prompt + generated)


class _Times:
    def __init__(self, registry: CollectorRegistry, own: tuple[str, str]) -> None:
        def histogram(
            name: str, about: str, buckets: tuple[float, ...] = SECONDS
        ) -> Callable[[float], None]:
            made = Histogram(name, about, LABELS, buckets=buckets, registry=registry)
            return made.labels(*own).observe

        self.request = histogram(
            "flagscale_request_duration_seconds", "From request to the end of the answer."
        )
        self.queue = histogram("flagscale_queue_duration_seconds", "Wait for a replica with room.")
        self.first = histogram(
            "flagscale_time_to_first_token_seconds", "From request to the first streamed part."
        )
        self.token = histogram(
            "flagscale_inter_token_seconds",
            "Mean time between tokens of each streamed answer.",
            TOKEN_SECONDS,
        )


@dataclass(frozen=True, slots=True, eq=False)
class ReplicaCollector(Collector):
    """What is true now of each replica: read at the scrape, so removed replicas vanish."""

    replicas: ReplicaSet
    waiting: Callable[[], int]
    now: Callable[[], float]
    own: tuple[str, str]

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Gauges of this moment."""
        queue = GaugeMetricFamily(
            "flagscale_queue_length", "Requests that wait in the gateway.", labels=LABELS
        )
        queue.add_metric(self.own, self.waiting())
        labels = (*LABELS, "replica")
        outstanding = GaugeMetricFamily(
            "flagscale_replica_outstanding", "Requests sent and not finished.", labels=labels
        )
        available = GaugeMetricFamily(
            "flagscale_replica_available", "1 while it may get requests.", labels=labels
        )
        now = self.now()
        for replica in self.replicas:
            own = (*self.own, replica.name)
            outstanding.add_metric(own, replica.outstanding)
            available.add_metric(own, float(replica.available(now)))
        return (queue, outstanding, available)
