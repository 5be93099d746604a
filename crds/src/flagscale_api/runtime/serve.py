"""The file that a serving process reads: gateway, engines, keys and limits."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from flagscale_api.meta import ApiModel, CelRule
from flagscale_api.v1alpha1.common import AbsolutePath
from flagscale_api.v1alpha1.engine import EngineSpec

ServedName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9]([-._:/A-Za-z0-9]*[A-Za-z0-9])?$", max_length=253)
]
Policy = Literal["roundRobin", "leastOutstanding", "powerOfTwo", "consistentHash", "prefixAware"]


class ServedModel(ApiModel):
    """A model on a disk."""

    name: ServedName = Field(description="Name that clients ask for.")
    path: AbsolutePath = Field(description="Folder of the model, or its GGUF file.")
    revision: Annotated[str, StringConstraints(max_length=253)] = Field(
        default="", description="Label of this version of the model in metrics."
    )
    digest: Annotated[str, StringConstraints(max_length=128)] | None = Field(
        default=None,
        description="Digest that the folder's manifest.json has to tell; unset: any model will do.",
    )


class RoutingSpec(ApiModel):
    """Which replica answers a request."""

    policy: Policy = Field(default="prefixAware", description="How a replica is chosen.")
    load_factor: float = Field(
        default=1.25,
        ge=1,
        le=10,
        description="consistentHash: a replica gets at most this multiple of the mean load.",
    )
    hash_header: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+$", max_length=64)] = Field(
        default="x-session-id", description="consistentHash: header whose value is hashed."
    )
    match_threshold: float = Field(
        default=0.3,
        ge=0,
        le=1,
        description="prefixAware: a replica that has seen this share of the prompt is preferred.",
    )
    imbalance_requests: int = Field(
        default=8,
        ge=1,
        le=65536,
        description="prefixAware: with a wider gap of outstanding requests the least loaded wins.",
    )


class QueueSpec(ApiModel):
    """Requests that wait while all replicas are busy."""

    size: int = Field(default=256, ge=0, le=65536, description="Requests that may wait.")
    timeout_seconds: float = Field(
        default=30, gt=0, le=3600, description="Longest wait before 503 with Retry-After."
    )
    hold_seconds: float | None = Field(
        default=None,
        gt=0,
        le=3600,
        description="Longest wait while no replica is ready; unset: timeoutSeconds.",
    )


class GatewaySpec(ApiModel):
    """The door: where it listens, how much it takes and how long it waits."""

    host: Annotated[str, StringConstraints(max_length=253)] = Field(
        default="127.0.0.1", description="Address to listen on."
    )
    port: int = Field(default=8000, ge=0, le=65535, description="Port; 0: any free one.")
    max_body_bytes: int = Field(
        default=4_194_304, ge=1024, le=1 << 30, description="Largest request body."
    )
    max_connections: int = Field(
        default=4096, ge=1, le=1_000_000, description="Connections at the same time."
    )
    per_replica_concurrency: int = Field(
        default=64, ge=1, le=65536, description="Requests sent to one replica at the same time."
    )
    request_timeout_seconds: float = Field(
        default=600, gt=0, le=86400, description="Longest time of one request, answer included."
    )
    first_byte_timeout_seconds: float = Field(
        default=120, gt=0, le=86400, description="Longest wait for an engine's first byte."
    )
    idle_timeout_seconds: float = Field(
        default=60, gt=0, le=86400, description="Longest silence within an answer or a connection."
    )
    drain_timeout_seconds: float = Field(
        default=30, ge=0, le=3600, description="Time for running requests after SIGTERM."
    )
    retries: int = Field(
        default=2, ge=0, le=10, description="Further replicas tried before the first byte."
    )
    queue: QueueSpec = Field(default_factory=QueueSpec, description="Waiting requests.")


class HealthSpec(ApiModel):
    """How replicas are watched."""

    interval_seconds: float = Field(default=1, gt=0, le=3600, description="Between two probes.")
    timeout_seconds: float = Field(default=2, gt=0, le=600, description="Of one probe.")
    failures: int = Field(
        default=3, ge=1, le=100, description="Failures in a row (5xx or no answer) that eject."
    )
    ejection_seconds: float = Field(
        default=5, gt=0, le=3600, description="First ejection; doubles up to ten times as long."
    )


class AuthSpec(ApiModel):
    """API keys; without them the door is open."""

    keys_file: AbsolutePath = Field(
        description='JSON file {"keys": [...]}, mounted from a Secret; read again when it changes.'
    )


class ApiKey(ApiModel):
    """One client; limits that are unset do not apply."""

    name: Annotated[str, StringConstraints(pattern=r"^[-._A-Za-z0-9]{1,64}$")] = Field(
        description="Name of the client in metrics and logs; never the key."
    )
    key: Annotated[str, StringConstraints(min_length=8, max_length=512)] = Field(
        description="The bearer token."
    )
    requests_per_minute: int | None = Field(default=None, ge=1, description="Request rate.")
    tokens_per_minute: int | None = Field(
        default=None, ge=1, description="Prompt and answer tokens together."
    )
    concurrency: int | None = Field(default=None, ge=1, description="Requests at the same time.")


class ApiKeys(ApiModel):
    """The content of a keys file."""

    keys: list[ApiKey] = Field(max_length=10_000, description="All clients.")


class EngineProcesses(ApiModel):
    """Engine processes on this machine, started and kept by the serving process."""

    count: int = Field(default=1, ge=1, le=64, description="Processes.")
    restarts: int = Field(
        default=3, ge=0, le=1000, description="Restarts of one process within ten minutes."
    )
    start_timeout_seconds: float = Field(
        default=600, gt=0, le=86400, description="Time to the first generated token."
    )
    python: AbsolutePath | None = Field(
        default=None,
        description="Interpreter of the environment with the engine; unset: this one.",
    )


class DiscoverySpec(ApiModel):
    """Serving processes elsewhere, each with engines of its own: behind a name, or in a file."""

    host: Annotated[str, StringConstraints(pattern=r"^[-.a-zA-Z0-9]+$", max_length=253)] | None = (
        Field(
            default=None,
            description="Name to look up each second, for example that of a headless Service.",
        )
    )
    port: int | None = Field(
        default=None, ge=1, le=65535, description="Port of every replica behind host."
    )
    early_host: (
        Annotated[str, StringConstraints(pattern=r"^[-.a-zA-Z0-9]+$", max_length=253)] | None
    ) = Field(
        default=None,
        description="Name of all replicas behind host and of those that are not ready yet, so that "
        "each is known by the time it is; unset: host alone.",
    )
    file: AbsolutePath | None = Field(
        default=None,
        description='File of lines "address:port" in place of host; read again each second.',
    )

    cel_rules: ClassVar[tuple[CelRule, ...]] = (
        CelRule(
            "has(self.host) == has(self.port) && has(self.host) != has(self.file)",
            "discovery: names no place or two; give host and port, or file",
            holds=lambda d: (d.host is None) == (d.port is None) == (d.file is not None),
        ),
        CelRule(
            "!has(self.earlyHost) || has(self.host)",
            "discovery.earlyHost: is for host alone; give host, or remove it",
            ".earlyHost",
            holds=lambda d: d.early_host is None or d.host is not None,
        ),
    )


class LoadReportSpec(ApiModel):
    """Who is told how much is asked, so that it can change the number of replicas."""

    url: Annotated[str, StringConstraints(pattern=r"^https?://\S+$", max_length=1024)] = Field(
        description="Where the load is posted to."
    )
    ca_file: AbsolutePath = Field(description="Certificate authority of that server.")
    token_file: AbsolutePath = Field(description="Bearer token; read again for each post.")


class ServeConfig(ApiModel):
    """One served model: `python -m flagscale_workloads.serve CONFIG`."""

    model: ServedModel = Field(description="What is served.")
    engine: EngineSpec = Field(description="What computes.")
    processes: EngineProcesses = Field(
        default_factory=EngineProcesses, description="Engine processes to start here."
    )
    discovery: DiscoverySpec | None = Field(
        default=None, description="Replicas elsewhere; with it no engine is started here."
    )
    routing: RoutingSpec = Field(default_factory=RoutingSpec, description="Load balancing.")
    gateway: GatewaySpec = Field(default_factory=GatewaySpec, description="The door.")
    health: HealthSpec = Field(default_factory=HealthSpec, description="Watching replicas.")
    auth: AuthSpec | None = Field(default=None, description="API keys; unset: none are asked for.")
    load_report: LoadReportSpec | None = Field(
        default=None, description="Telling the load; unset: nobody is told."
    )
