"""Metrics under the names of controller-runtime and client-go, so their dashboards fit."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from flagscale_operator.kube.kinds import (
    AGENT_TOOL,
    AGENT_TOOL_SOURCE,
    INFERENCE_SERVICE,
    TRAIN_JOB,
)

REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
QUEUE_BUCKETS = (0.0001, 0.001, 0.01, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0)


class Metrics:
    """All metrics of one operator process; implements the observers of queue and workers."""

    def __init__(self, registry: CollectorRegistry, *, version: str) -> None:
        self._reconciles = _ReconcileMetrics(registry)
        self._queue = _QueueMetrics(registry)
        self._api = _ApiMetrics(registry)
        self._process = _ProcessMetrics(registry)
        self._jobs = _TrainJobMetrics(registry)
        self._phases = {
            kind: Gauge(
                f"flagscale_{kind.lower()}_phase",
                f"{kind}s in a phase.",
                ("phase",),
                registry=registry,
            )
            for kind in (
                TRAIN_JOB.kind,
                INFERENCE_SERVICE.kind,
                AGENT_TOOL.kind,
                AGENT_TOOL_SOURCE.kind,
            )
        }
        build = Gauge("flagscale_build_info", "Always 1.", ("version",), registry=registry)
        build.labels(version).set(1)

    def added(self, kind: str, depth: int) -> None:
        """See `QueueObserver.added`."""
        self._queue.adds.labels(kind).inc()
        self._queue.depth.labels(kind).set(depth)

    def taken(self, kind: str, waited_s: float, depth: int) -> None:
        """See `QueueObserver.taken`."""
        self._queue.waited.labels(kind).observe(waited_s)
        self._queue.depth.labels(kind).set(depth)

    def retried(self, kind: str) -> None:
        """See `QueueObserver.retried`."""
        self._queue.retries.labels(kind).inc()

    def reconciled(self, kind: str, result: str, seconds: float) -> None:
        """See `ReconcileObserver.reconciled`."""
        self._reconciles.runs.labels(kind, result).inc()
        self._reconciles.seconds.labels(kind).observe(seconds)
        self._queue.worked.labels(kind).observe(seconds)
        if result == "error":
            self._reconciles.errors.labels(kind).inc()

    def api_request(self, verb: str, resource: str, code: str, seconds: float) -> None:
        """One request to the Kubernetes API ended; `code` is `error` without an answer."""
        self._api.requests.labels(verb, resource, code).inc()
        self._api.seconds.labels(verb).observe(seconds)

    def watch_event(self, kind: str, type_: str) -> None:
        """A watch brought an event."""
        self._api.watch_events.labels(kind, type_).inc()

    def loop_lag(self, seconds: float) -> None:
        """How late a due callback of the event loop ran."""
        self._process.lag.set(seconds)

    def leading(self, name: str, *, holds: bool) -> None:
        """This process acquired or gave up the Lease of that name."""
        self._process.leader.labels(name).set(holds)

    def progress_post(self, code: int) -> None:
        """A progress post was answered."""
        self._jobs.posts.labels(str(code)).inc()

    def load_post(self, code: int) -> None:
        """A gateway's post of its load was answered."""
        self._jobs.load_posts.labels(str(code)).inc()

    def event_failed(self) -> None:
        """An Event could not be posted."""
        self._api.event_failures.inc()

    def restarted(self, cause: str) -> None:
        """See `RestartObserver.restarted`."""
        self._jobs.restarts.labels(cause).inc()

    def phases(self, kind: str, counts: Mapping[str, int]) -> None:
        """How many objects of a kind are in each phase; phases that are left out have none."""
        gauge = self._phases[kind]
        gauge.clear()
        for phase, count in counts.items():
            gauge.labels(phase).set(count)


class _ReconcileMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.runs = Counter(
            "controller_runtime_reconcile",
            "Reconciles by result.",
            ("controller", "result"),
            registry=registry,
        )
        self.errors = Counter(
            "controller_runtime_reconcile_errors",
            "Reconciles that failed.",
            ("controller",),
            registry=registry,
        )
        self.seconds = Histogram(
            "controller_runtime_reconcile_time_seconds",
            "Time of one reconcile.",
            ("controller",),
            registry=registry,
            buckets=REQUEST_BUCKETS,
        )


class _QueueMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        name = ("name",)
        self.depth = Gauge("workqueue_depth", "Keys that wait.", name, registry=registry)
        self.adds = Counter("workqueue_adds", "Keys that were added.", name, registry=registry)
        self.retries = Counter("workqueue_retries", "Keys tried again.", name, registry=registry)
        self.waited = Histogram(
            "workqueue_queue_duration_seconds",
            "Time a key waited.",
            name,
            registry=registry,
            buckets=QUEUE_BUCKETS,
        )
        self.worked = Histogram(
            "workqueue_work_duration_seconds",
            "Time a key was worked on.",
            name,
            registry=registry,
            buckets=QUEUE_BUCKETS,
        )


class _ApiMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "kube_api_requests",
            "Kubernetes API requests.",
            ("verb", "resource", "code"),
            registry=registry,
        )
        self.seconds = Histogram(
            "kube_api_request_duration_seconds",
            "Time of Kubernetes API requests.",
            ("verb",),
            registry=registry,
            buckets=REQUEST_BUCKETS,
        )
        self.watch_events = Counter(
            "watch_events", "Events that watches brought.", ("kind", "type"), registry=registry
        )
        self.event_failures = Counter(
            "flagscale_event_failures", "Events that could not be posted.", registry=registry
        )


class _ProcessMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.lag = Gauge(
            "event_loop_lag_seconds", "Newest delay of a due callback.", registry=registry
        )
        self.leader = Gauge(
            "leader_election_master_status",
            "1 while this process leads.",
            ("name",),
            registry=registry,
        )


class _TrainJobMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.load_posts = Counter(
            "load_posts", "Gateways' posts of load, by the code they got.", ("code",),
            registry=registry,
        )  # fmt: skip
        self.posts = Counter(
            "progress_posts", "Progress posts, by the code they got.", ("code",), registry=registry
        )
        self.restarts = Counter(
            "flagscale_trainjob_restarts", "Gang restarts.", ("cause",), registry=registry
        )
