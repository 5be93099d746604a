"""TrainJob: what a user reads back."""

from typing import Literal

from pydantic import Field

from flagscale_api.meta import Condition, PrinterColumn, ResourceKind, StatusModel
from flagscale_api.v1alpha1.train_job import TrainJobSpec

Phase = Literal[
    "Pending", "Starting", "Running", "Restarting", "Suspending", "Suspended", "Succeeded", "Failed"
]
Cause = Literal[
    "UserError",
    "InvalidData",
    "InvalidSpec",
    "CheckpointUnreadable",
    "OutputUnwritable",
    "OutOfMemory",
    "Killed",
    "Hang",
    "NodeLost",
    "PeerLost",
    "Preempted",
    "ImagePull",
    "Deadline",
    "PendingTimeout",
    "Unknown",
]


class Progress(StatusModel):
    """Where the run is."""

    step: int | None = Field(default=None, description="Optimizer steps done.")
    total_steps: int | None = Field(default=None, description="Optimizer steps wanted.")
    percent: int | None = Field(default=None, description="Share of the work done, 0 to 100.")
    loss: str | None = Field(default=None, description="Newest training loss.")
    validation_loss: str | None = Field(default=None, description="Newest validation loss.")
    tokens_per_second: str | None = Field(default=None, description="Tokens/s over all ranks.")
    eta: str | None = Field(default=None, description="Time left, for example 2m30s.")
    last_update_time: str | None = Field(
        default=None, description="When the pods last reported an advance, RFC 3339 UTC."
    )


class Checkpoint(StatusModel):
    """Newest complete checkpoint."""

    step: int = Field(description="Optimizer step it was taken after.")
    path: str | None = Field(default=None, description="Folder inside the pods.")
    time: str | None = Field(default=None, description="When it was complete, RFC 3339 UTC.")


class Failure(StatusModel):
    """Root cause: the earliest failure over all pods of an attempt."""

    cause: Cause = Field(description="Class of the failure; decides the restart budget.")
    message: str = Field(description="What happened and what to do next.")
    rank: int | None = Field(default=None, description="Global rank that failed first.")
    pod: str | None = Field(default=None, description="Pod that failed first.")
    node: str | None = Field(default=None, description="Node that pod ran on.")
    exit_code: int | None = Field(default=None, description="Exit code of the program.")
    signal: int | None = Field(default=None, description="Signal that ended the program.")


class Attempt(StatusModel):
    """One gang: all pods started together, ended by the first failure of any of them."""

    number: int = Field(description="1 for the first.")
    child: str = Field(description="Name of the PyTorchJob.")
    start_time: str = Field(description="When the attempt was made, RFC 3339 UTC.")
    end_time: str | None = Field(default=None, description="When it ended, RFC 3339 UTC.")
    cause: Cause | None = Field(default=None, description="Why it failed, if it did.")
    resumed_step: int | None = Field(default=None, description="Step it continued from.")
    last_step: int | None = Field(default=None, description="Last step it reported.")
    lost_steps: int | None = Field(
        default=None, description="Steps of the attempt before that were computed again."
    )


class Artifact(StatusModel):
    """The finished model."""

    uri: str = Field(description="pvc://<claim>/<path> of the folder.")
    format: str = Field(description="huggingface.")
    digest: str = Field(description="sha256 over the names and digests of its files.")
    size_bytes: int = Field(ge=0, le=2**53, description="Size of all files, bytes.")


class RestartCounts(StatusModel):
    """Restarts used so far, per budget."""

    user_error: int = Field(default=0, description="Used of userError.")
    out_of_memory: int = Field(default=0, description="Used of outOfMemory.")
    killed: int = Field(default=0, description="Used of killed.")
    hang: int = Field(default=0, description="Used of hang.")
    node_lost: int = Field(default=0, description="Used of nodeLost.")
    peer_lost: int = Field(default=0, description="Used of peerLost.")


class TrainJobStatus(StatusModel):
    """Observed state, written by the operator only."""

    observed_generation: int | None = Field(
        default=None, description="metadata.generation this status was computed from."
    )
    phase: Phase | None = Field(default=None, description="One word for the columns.")
    conditions: list[Condition] = Field(
        default_factory=list, description="Ready, Running, Suspended, Succeeded, Failed."
    )
    progress: Progress | None = Field(default=None, description="Where the run is.")
    checkpoint: Checkpoint | None = Field(default=None, description="Newest checkpoint.")
    restarts: int = Field(default=0, description="Gang restarts so far.")
    restart_counts: RestartCounts = Field(
        default_factory=RestartCounts, description="Restarts used of each budget."
    )
    next_attempt_time: str | None = Field(
        default=None, description="When the next attempt is made, RFC 3339 UTC."
    )
    attempts: list[Attempt] = Field(
        default_factory=list, description="The last 10 attempts, oldest first."
    )
    failure: Failure | None = Field(default=None, description="Root cause of the last failure.")
    artifact: Artifact | None = Field(default=None, description="The finished model.")
    start_time: str | None = Field(default=None, description="When the first attempt was made.")
    completion_time: str | None = Field(default=None, description="When the job finished.")


TRAIN_JOB = ResourceKind(
    kind="TrainJob",
    plural="trainjobs",
    singular="trainjob",
    short_names=("tj",),
    columns=(
        PrinterColumn("Phase", ".status.phase"),
        PrinterColumn("Progress", ".status.progress.percent", "integer", "Percent of steps done"),
        PrinterColumn("Step", ".status.progress.step", "integer", wide=True),
        PrinterColumn("Loss", ".status.progress.loss"),
        PrinterColumn("Tokens/s", ".status.progress.tokensPerSecond"),
        PrinterColumn("ETA", ".status.progress.eta"),
        PrinterColumn("Checkpoint", ".status.checkpoint.step", "integer", wide=True),
        PrinterColumn("Restarts", ".status.restarts", "integer"),
        PrinterColumn("Cause", ".status.failure.cause", wide=True),
        PrinterColumn("Age", ".metadata.creationTimestamp", "date"),
    ),
    spec_model=TrainJobSpec,
    status_model=TrainJobStatus,
)
