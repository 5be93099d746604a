"""What the service tells Prometheus."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from flagscale_workloads.agent.tool_match.answer import Matches
from flagscale_workloads.agent.tool_match.matcher import ToolMatcher

SECONDS: Final = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
)  # fmt: skip


class ServiceMetrics:
    """Counts and times of what was asked."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "flagscale_tools_requests",
            "Operations by outcome: ok, or the code of the refusal.",
            ("operation", "code"),
            registry=registry,
        )
        self._seconds = Histogram(
            "flagscale_tools_request_duration_seconds",
            "From the door to the answer.",
            ("operation",),
            buckets=SECONDS,
            registry=registry,
        )
        self._matches = Counter(
            "flagscale_tools_matches",
            "Searches by the tier that answered.",
            ("tier",),
            registry=registry,
        )
        self._abstentions = Counter(
            "flagscale_tools_abstentions", "Searches that no tool answers.", registry=registry
        )
        self._calls = Counter(
            "flagscale_tools_calls",
            "Calls that were sent to tools, by kind and outcome.",
            ("kind", "code"),
            registry=registry,
        )
        self._retries = Counter(
            "flagscale_tools_call_retries", "Calls of idempotent tools sent again.",
            registry=registry,
        )  # fmt: skip
        self._restarts = Counter(
            "flagscale_tools_watch_restarts",
            "Times that the watch of AgentTools was lost and taken up again.",
            registry=registry,
        )

    def operation(self, name: str, code: str, seconds: float) -> None:
        """A request was answered or refused."""
        self._requests.labels(name, code).inc()
        self._seconds.labels(name).observe(seconds)

    def matched(self, found: Matches) -> None:
        """A search was answered."""
        self._matches.labels(found.tier).inc()
        if found.abstained:
            self._abstentions.inc()

    def called(self, kind: str, code: str) -> None:
        """A tool was called."""
        self._calls.labels(kind, code).inc()

    def retried(self) -> None:
        """An idempotent tool is called once more."""
        self._retries.inc()

    def watch_restarted(self) -> None:
        """The watch was lost."""
        self._restarts.inc()


@dataclass(frozen=True, slots=True, eq=False)
class IndexCollector(Collector):
    """What is true now of the index and its arms, read at the scrape."""

    matcher: ToolMatcher
    waiting: Callable[[], int]

    def collect(self) -> Iterable[GaugeMetricFamily | CounterMetricFamily]:
        """Metrics of this moment."""
        for name, about, value in (
            ("flagscale_tools_indexed", "Tools that can be found.", len(self.matcher)),
            ("flagscale_tools_index_generation", "Grows with every change of the index.",
             self.matcher.generation),
            ("flagscale_tools_changes_waiting", "Changes that no search sees yet.", self.waiting()),
        ):  # fmt: skip
            gauge = GaugeMetricFamily(name, about)
            gauge.add_metric((), value)
            yield gauge
        up = GaugeMetricFamily(
            "flagscale_tools_arm_up", "1 while the arm answers, 0 while it is paused.",
            labels=("arm",),
        )  # fmt: skip
        missing = GaugeMetricFamily(
            "flagscale_tools_arm_missing", "Tools that the arm has yet to embed.", labels=("arm",)
        )
        queries = CounterMetricFamily(
            "flagscale_tools_arm_queries",
            "Requests that the arm embedded, or why it did not.",
            labels=("arm", "outcome"),
        )
        for arm in self.matcher.arms():
            up.add_metric((arm.name,), float(arm.breaker == "closed"))
            missing.add_metric((arm.name,), arm.missing)
            for outcome in ("encoded", "failed", "timed_out", "refused"):
                queries.add_metric((arm.name, outcome), getattr(arm, outcome))
        yield from (up, missing, queries)
