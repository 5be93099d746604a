"""InferenceService: what a user reads back."""

from typing import Literal

from pydantic import Field

from flagscale_api.meta import Condition, PrinterColumn, ResourceKind, ScalePaths, StatusModel
from flagscale_api.v1alpha1.engine import EngineName
from flagscale_api.v1alpha1.inference_service import InferenceServiceSpec, Runtime

ServicePhase = Literal["Pending", "Loading", "Ready", "Idle", "Degraded", "Failed"]
ModelState = Literal["Pending", "Downloading", "Loading", "Loaded", "FailedToLoad", "Unloaded"]
ScalingReason = Literal[
    "Requested", "LoadAboveTarget", "LoadBelowTarget", "RequestsWaiting", "Idle", "BelowMinimum"
]


class LoadFailure(StatusModel):
    """How an engine pod ended."""

    reason: str = Field(
        description="OutOfMemory, ConfigError, ModelDigestMismatch, EngineExited or Killed; of a "
        "download, its reason."
    )
    message: str = Field(description="Its last words and what to do next.")
    exit_code: int = Field(description="Exit code of the container.")
    pod: str = Field(description="The pod.")
    time: str | None = Field(default=None, description="When it ended, RFC 3339 UTC.")


class ModelStatus(StatusModel):
    """The model as it was found, and whether it is loaded."""

    name: str = Field(description="Name that clients ask for.")
    uri: str | None = Field(
        default=None,
        description="What is served: pvc://<claim>/<path>, hf://<repository>@<revision> "
        "or the URI that was downloaded.",
    )
    digest: str | None = Field(
        default=None,
        description="Digest of the TrainJob's artifact, or of all files that were downloaded.",
    )
    commit: str | None = Field(
        default=None, description="Commit of the hub's repository that was downloaded."
    )
    train_job: str | None = Field(
        default=None, description="TrainJob that made it; it may be deleted."
    )
    state: ModelState = Field(description="Whether engines have loaded it.")
    last_failure: LoadFailure | None = Field(
        default=None, description="Newest end of an engine pod of this revision."
    )


class RevisionReplicas(StatusModel):
    """Engine pods of one revision."""

    revision: str = Field(description="The hash that names it.")
    ready: int = Field(description="Its pods that have generated a token.")
    current: int = Field(description="Its pods that there are.")


class ReplicaCounts(StatusModel):
    """Engine pods."""

    ready: int = Field(description="Pods of the current revision that have generated a token.")
    total: int = Field(description="Pods wanted.")
    current: int = Field(default=0, description="Pods there are, of whichever revision.")
    summary: str = Field(description="ready/total, for the columns.")
    revisions: list[RevisionReplicas] = Field(
        default_factory=list,
        description="By revision, those that have pods: the wanted one first, then by name.",
    )


class LastScaling(StatusModel):
    """The newest change of the number of wanted engine pods."""

    from_replicas: int = Field(description="Pods wanted before.")
    to_replicas: int = Field(description="Pods wanted since.")
    reason: ScalingReason = Field(
        description="LoadAboveTarget, LoadBelowTarget: the load against targetConcurrency; "
        "RequestsWaiting: from none, as somebody asked; Idle: to none, as nobody did; "
        "BelowMinimum: there were fewer than minReplicas; Requested: by spec.replicas."
    )
    message: str = Field(description="The figures behind it.")
    time: str = Field(description="When it was seen, RFC 3339 UTC.")


class RolloutStatus(StatusModel):
    """How the newest revision came or did not come to serve (runtime rayservice)."""

    revision: str = Field(description="The revision that spec asks for.")
    started_at: str = Field(description="When it was first asked for, RFC 3339 UTC.")
    rolled_back: str | None = Field(
        default=None,
        description="Why the revision before it was restored; it is not tried again.",
    )


class InferenceServiceStatus(StatusModel):
    """Observed state, written by the operator only."""

    observed_generation: int | None = Field(
        default=None, description="metadata.generation this status was computed from."
    )
    phase: ServicePhase | None = Field(default=None, description="One word for the columns.")
    conditions: list[Condition] = Field(
        default_factory=list,
        description="Ready: all of the current generation serves. Available: requests are "
        "answered, if only by some replicas or an older revision. Upgrading (runtime rayservice): "
        "a second Ray cluster is being built, or why it was given up.",
    )
    runtime: Runtime | None = Field(default=None, description="What keeps the engine pods.")
    engine: EngineName | None = Field(
        default=None,
        description="The engine: the one that spec.engine names, or that auto stands for. While "
        "another one is being started, still the one that serves.",
    )
    rollout: RolloutStatus | None = Field(
        default=None, description="The newest revision, for runtime rayservice."
    )
    url: str | None = Field(default=None, description="Base URL of the API within the cluster.")
    model: ModelStatus | None = Field(default=None, description="The model.")
    replicas: ReplicaCounts | None = Field(default=None, description="Engine pods.")
    selector: str | None = Field(
        default=None, description="Labels of the engine pods, for the scale subresource."
    )
    last_scaling: LastScaling | None = Field(
        default=None, description="The newest change of the number of engine pods, and its reason."
    )
    revision: str | None = Field(
        default=None,
        description="Revision that is wanted, or restored: a hash of what engine pods run.",
    )


_READY = '.status.conditions[?(@.type=="Ready")]'
INFERENCE_SERVICE = ResourceKind(
    kind="InferenceService",
    plural="inferenceservices",
    singular="inferenceservice",
    short_names=("isvc",),
    columns=(
        PrinterColumn("Ready", f"{_READY}.status"),
        PrinterColumn("URL", ".status.url"),
        PrinterColumn("Model", ".status.model.name"),
        PrinterColumn("Engine", ".status.engine"),
        PrinterColumn("Replicas", ".status.replicas.summary", description="Ready / wanted"),
        PrinterColumn("Min", ".spec.autoscaling.minReplicas", "integer", wide=True),
        PrinterColumn("Max", ".spec.autoscaling.maxReplicas", "integer", wide=True),
        PrinterColumn("Scaled", ".status.lastScaling.reason", wide=True),
        PrinterColumn("Runtime", ".status.runtime", wide=True),
        PrinterColumn("Revision", ".status.revision", wide=True),
        PrinterColumn("Reason", f"{_READY}.reason", wide=True),
        PrinterColumn("Age", ".metadata.creationTimestamp", "date"),
    ),
    spec_model=InferenceServiceSpec,
    status_model=InferenceServiceStatus,
    scale=ScalePaths(".spec.replicas", ".status.replicas.current", ".status.selector"),
)
