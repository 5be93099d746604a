"""TrainJob: what a user may write."""

from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from flagscale_api.meta import ApiModel, CelRule
from flagscale_api.v1alpha1.common import (
    AbsolutePath,
    ClaimVolume,
    DnsLabel,
    EnvVar,
    ImageRef,
    PodTemplate,
    Resources,
)
from flagscale_api.v1alpha1.train_job_rules import IMMUTABLE_RULES, SPEC_RULES
from flagscale_api.v1alpha1.trainer import TrainerSpec

Argument = Annotated[str, StringConstraints(max_length=4096)]


class ScriptSpec(ApiModel):
    """The user's own training program, run by torchrun with the same failure handling."""

    image: ImageRef = Field(description="Image that holds the program and torch (for torchrun).")
    command: list[Argument] = Field(
        min_length=1,
        max_length=64,
        description="Program that torchrun starts in every process, "
        'for example ["python", "/app/train.py"]. Not run by a shell.',
    )
    args: list[Argument] = Field(
        default_factory=list, max_length=256, description="Arguments appended to the command."
    )
    working_dir: AbsolutePath | None = Field(
        default=None, description="Working directory; default: the image's."
    )


class RestartBudgets(ApiModel):
    """How many gang restarts each cause of failure may use. Preemption is never counted."""

    user_error: int = Field(
        default=0, ge=0, le=100, description="The program raised or exited non-zero by itself."
    )
    out_of_memory: int = Field(
        default=1, ge=0, le=100, description="A container was OOM-killed by the kernel."
    )
    killed: int = Field(
        default=3, ge=0, le=100, description="A process died of a signal, or a pod was deleted."
    )
    hang: int = Field(default=2, ge=0, le=100, description="No progress for hangTimeoutSeconds.")
    node_lost: int = Field(
        default=5, ge=0, le=100, description="A node went away or stopped answering."
    )
    peer_lost: int = Field(
        default=3, ge=0, le=100, description="Only a broken connection to a peer was seen."
    )


class FailurePolicy(ApiModel):
    """When the gang is restarted from the newest checkpoint, and when the job gives up."""

    restart_budgets: RestartBudgets = Field(
        default_factory=RestartBudgets, description="Gang restarts allowed per cause."
    )
    backoff_seconds: int = Field(
        default=10,
        ge=1,
        le=3600,
        description="Delay before the first restart; doubles with each, up to 5 minutes or "
        "this value if larger.",
    )
    hang_timeout_seconds: int = Field(
        default=600,
        ge=10,
        le=86400,
        description="A job whose reported progress stands still this long counts as hung. "
        "Begins with an attempt's first progress report.",
    )
    pending_timeout_seconds: int | None = Field(
        default=None,
        ge=10,
        description="Give up when the gang has not started within this many seconds.",
    )


class TrainJobSpec(ApiModel):
    """Desired training run. All but suspend, limits and the failure policy is immutable."""

    trainer: TrainerSpec | None = Field(
        default=None, description="Train with FlagScale's trainer. Exactly one of trainer, script."
    )
    script: ScriptSpec | None = Field(
        default=None, description="Train with your own program. Exactly one of trainer, script."
    )
    image: ImageRef | None = Field(
        default=None, description="Trainer image; default: the operator's. Only with trainer."
    )
    replicas: int = Field(default=1, ge=1, le=512, description="Number of pods in the gang.")
    processes_per_replica: int = Field(
        default=1, ge=1, le=64, description="Processes (ranks) that torchrun starts in each pod."
    )
    resources: Resources = Field(
        default_factory=Resources, description="Compute resources of each pod."
    )
    env: list[EnvVar] = Field(
        default_factory=list, max_length=64, description="Environment of every process."
    )
    volumes: dict[DnsLabel, ClaimVolume] = Field(
        default_factory=dict, max_length=16, description="Claims to mount, by volume name."
    )
    pod_template: PodTemplate = Field(
        default_factory=PodTemplate, description="Overrides of the pods."
    )
    queue_name: DnsLabel | None = Field(
        default=None,
        description="Kueue LocalQueue. Kueue then decides when the gang starts.",
    )
    suspend: bool = Field(
        default=False,
        description="Stop the gang after a checkpoint and keep the job; false resumes it.",
    )
    failure_policy: FailurePolicy = Field(
        default_factory=FailurePolicy, description="Restarts, budgets, hang detection."
    )
    active_deadline_seconds: int | None = Field(
        default=None,
        ge=1,
        description="Fail the job this many seconds after its first attempt was made.",
    )
    ttl_seconds_after_finished: int | None = Field(
        default=None, ge=0, description="Delete the job this many seconds after it finished."
    )
    suspend_timeout_seconds: int = Field(
        default=60,
        ge=0,
        le=3600,
        description="Seconds to wait for the checkpoint asked for by suspend.",
    )

    cel_rules: ClassVar[tuple[CelRule, ...]] = (*SPEC_RULES, *IMMUTABLE_RULES)

    @property
    def world_size(self) -> int:
        """Number of ranks over all pods."""
        return self.replicas * self.processes_per_replica
