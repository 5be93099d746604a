"""Pieces of a spec that more than one kind uses: resources, volumes, pod settings."""

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StringConstraints

from flagscale_api.meta import ApiModel, CelRule

Quantity = Annotated[
    str,
    StringConstraints(
        pattern=r"^[0-9]+(\.[0-9]+)?([EPTGMk]i?|Ki|m)?$", min_length=1, max_length=32
    ),
]
DnsLabel = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)
]
DnsSubdomain = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$", max_length=253)
]
AbsolutePath = Annotated[
    str, StringConstraints(pattern=r"^/[^\x00:]*$", min_length=2, max_length=1024)
]
MountPath = Annotated[
    str, StringConstraints(pattern=r"^/[^\x00:]*[^/\x00:]$", min_length=2, max_length=1024)
]
ImageRef = Annotated[str, StringConstraints(pattern=r"^\S+$", min_length=1, max_length=512)]
ShortText = Annotated[str, StringConstraints(max_length=4096)]
LabelValue = Annotated[
    str, StringConstraints(pattern=r"^([A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?)?$", max_length=63)
]
Object = dict[str, Any]
_LABEL_KEY = "^([a-z0-9][-.a-z0-9]{0,252}/)?[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?$"


def _label_keys(field: str, name: str) -> CelRule:
    """Keys of a map of labels or annotations; a structural schema can't say it."""
    return CelRule(
        f"self.{name}.all(k, k.matches('{_LABEL_KEY}'))",
        f"spec.podTemplate.{name}: keys must be [prefix/]name with at most 63 letters, digits, "
        "'-', '_' and '.' in the name",
        f".{name}",
        holds=lambda template: all(re.search(_LABEL_KEY, key) for key in getattr(template, field)),
    )


class Resources(ApiModel):
    """Compute resources of one pod, as in a container's `resources`."""

    requests: dict[str, Quantity] = Field(
        default_factory=dict,
        max_length=16,
        description='Reserved per pod, for example {"cpu": "4", "memory": "16Gi"}.',
    )
    limits: dict[str, Quantity] = Field(
        default_factory=dict,
        max_length=16,
        description='Upper bound per pod, for example {"nvidia.com/gpu": "8", "memory": "64Gi"}.',
    )


class ClaimVolume(ApiModel):
    """A PersistentVolumeClaim mounted into every pod."""

    claim_name: DnsSubdomain = Field(
        description="Name of a PersistentVolumeClaim in the job's namespace."
    )
    mount_path: MountPath = Field(
        description="Where it is mounted: an absolute path without a slash at its end."
    )
    read_only: bool = Field(default=False, description="Mount it read-only.")


class SecretKeyRef(ApiModel):
    """One key of a Secret in the same namespace."""

    name: DnsSubdomain = Field(description="Name of the Secret.")
    key: Annotated[str, StringConstraints(min_length=1, max_length=253)] = Field(
        description="Key within the Secret."
    )


class EnvVar(ApiModel):
    """An environment variable with a literal value or one from a Secret."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)] = (
        Field(description="Variable name. PET_*, KUBEFLOW_TRAINER_* and FLAGSCALE_* are ours.")
    )
    value: ShortText | None = Field(default=None, description="Literal value.")
    secret_key_ref: SecretKeyRef | None = Field(
        default=None, description="Take the value from a Secret in the same namespace."
    )


class Toleration(ApiModel):
    """A core/v1 toleration."""

    key: Annotated[str, StringConstraints(max_length=316)] | None = Field(
        default=None, description="Taint key; empty with operator Exists matches all."
    )
    operator: Literal["Equal", "Exists"] = Field(
        default="Equal", description="How key and value are compared."
    )
    value: Annotated[str, StringConstraints(max_length=63)] | None = Field(
        default=None, description="Taint value for operator Equal."
    )
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="Taint effect; absent matches all effects."
    )
    toleration_seconds: int | None = Field(
        default=None, ge=0, description="Seconds a NoExecute taint is tolerated; absent: for ever."
    )


class PodOverrides(ApiModel):
    """Overrides of the pods that the operator makes, whatever they run."""

    labels: dict[str, LabelValue] = Field(
        default_factory=dict, max_length=32, description="Extra labels of every pod."
    )
    annotations: dict[str, ShortText] = Field(
        default_factory=dict, max_length=32, description="Extra annotations of every pod."
    )
    node_selector: dict[str, LabelValue] = Field(
        default_factory=dict, max_length=32, description="Labels a node must have."
    )
    tolerations: list[Toleration] = Field(
        default_factory=list, max_length=32, description="Taints the pods tolerate."
    )
    affinity: Object | None = Field(default=None, description="A core/v1 Affinity, passed through.")
    priority_class_name: DnsSubdomain | None = Field(
        default=None, description="PriorityClass of the pods."
    )
    scheduler_name: DnsSubdomain | None = Field(
        default=None, description="Scheduler that places the pods."
    )
    service_account_name: DnsSubdomain | None = Field(
        default=None, description="ServiceAccount of the pods; default: the namespace's default."
    )
    image_pull_secrets: list[DnsSubdomain] = Field(
        default_factory=list, max_length=16, description="Names of Secrets to pull images with."
    )

    cel_rules: ClassVar[tuple[CelRule, ...]] = (
        _label_keys("labels", "labels"),
        _label_keys("annotations", "annotations"),
        _label_keys("node_selector", "nodeSelector"),
    )


class PodTemplate(PodOverrides):
    """Overrides of the pods that the operator makes."""

    termination_grace_period_seconds: int = Field(
        default=60,
        ge=1,
        le=3600,
        description="Seconds between SIGTERM and SIGKILL: the time to write a last checkpoint. "
        "torchrun itself waits at most 30 s for its processes.",
    )
