"""InferenceService: what a user may write."""

import re
from pathlib import PurePosixPath
from typing import Annotated, ClassVar, Final

from pydantic import Field, StringConstraints

from flagscale_api.meta import ApiModel, CelRule
from flagscale_api.runtime.serve import RoutingSpec, ServedName
from flagscale_api.v1alpha1.autoscaling import AutoscalingSpec
from flagscale_api.v1alpha1.common import (
    DnsSubdomain,
    ImageRef,
    PodOverrides,
    Resources,
    SecretKeyRef,
)
from flagscale_api.v1alpha1.engine import EngineSpec
from flagscale_api.v1alpha1.offered_engines import ENGINE_RULES

RelativePath = Annotated[
    str, StringConstraints(pattern=r"^[^/\x00:][^\x00:]*$", min_length=1, max_length=1024)
]
GgufName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_][-._A-Za-z0-9]*\.gguf$", max_length=253)
]
_UPWARDS: Final = "(^|/)[.][.](/|$)"


class TrainJobRef(ApiModel):
    """A TrainJob in the same namespace."""

    name: DnsSubdomain = Field(description="Name of the TrainJob.")


class ModelVolume(ApiModel):
    """A model on a PersistentVolumeClaim."""

    claim_name: DnsSubdomain = Field(
        description="Name of a PersistentVolumeClaim in the same namespace; mounted read-only."
    )
    path: RelativePath = Field(
        default=".", description="Folder of the model below the claim's root; .: the root itself."
    )

    cel_rules: ClassVar[tuple[CelRule, ...]] = (
        CelRule(
            f"!self.path.matches('{_UPWARDS}')",
            "spec.model.volume.path: may not leave the claim; remove every '..'",
            ".path",
            holds=lambda volume: not re.search(_UPWARDS, volume.path),
        ),
    )

    @property
    def folder(self) -> str:
        """The path in its shortest form."""
        return str(PurePosixPath(self.path))


class ServedModelSpec(ApiModel):
    """The model and where it comes from."""

    name: ServedName | None = Field(
        default=None, description="Name that clients ask for; default: the service's own."
    )
    train_job_ref: TrainJobRef | None = Field(
        default=None,
        description="Serve the artifact of a TrainJob, once it has succeeded. "
        "Exactly one of trainJobRef, volume.",
    )
    volume: ModelVolume | None = Field(
        default=None,
        description="Serve a model that lies on a claim. Exactly one of trainJobRef, volume.",
    )
    file: GgufName | None = Field(
        default=None,
        description="GGUF file within the model's folder, for example model-q8_0.gguf; for engine "
        "llamacpp, which needs it.",
    )

    cel_rules: ClassVar[tuple[CelRule, ...]] = (
        CelRule(
            "has(self.trainJobRef) != has(self.volume)",
            "spec.model: exactly one of trainJobRef and volume is needed; set one of them",
            holds=lambda model: (model.train_job_ref is None) != (model.volume is None),
        ),
    )


class ServingLimits(ApiModel):
    """How much the service takes and how long a request may last."""

    per_replica_concurrency: int = Field(
        default=64, ge=1, le=65536, description="Requests sent to one replica at the same time."
    )
    queue_size: int = Field(
        default=256,
        ge=0,
        le=65536,
        description="Requests that may wait while all replicas are busy; 429 for more.",
    )
    queue_timeout_seconds: float = Field(
        default=30, gt=0, le=3600, description="Longest wait before 503 with Retry-After."
    )
    request_timeout_seconds: float = Field(
        default=600, gt=0, le=86400, description="Longest time of one request, answer included."
    )
    max_body_bytes: int = Field(
        default=4_194_304, ge=1024, le=1 << 30, description="Largest request body."
    )


class ServingAuth(ApiModel):
    """Who may ask."""

    api_keys_secret_ref: SecretKeyRef = Field(
        description='Key of a Secret that holds {"keys": [{"name": ..., "key": ...}]}; limits per '
        "key are told in docs/serving.md. Changes are taken over without a restart."
    )


class ServingPods(PodOverrides):
    """Overrides of the pods; nodeSelector, affinity and schedulerName hold for engine pods only."""

    termination_grace_period_seconds: int = Field(
        default=60,
        ge=40,
        le=3600,
        description="Seconds between SIGTERM and SIGKILL. Running requests may end within it, but "
        "for the 30 s that taking the pod out of service and ending its engine may need.",
    )


class InferenceServiceSpec(ApiModel):
    """Desired model service: engine pods behind one OpenAI-compatible door."""

    model: ServedModelSpec = Field(description="What is served.")
    engine: EngineSpec = Field(description="What computes: one engine process in each engine pod.")
    replicas: int = Field(
        default=1,
        ge=0,
        le=64,
        description="Engine pods; 0 stops them. With spec.autoscaling it is the autoscaler's, so "
        "leave it out.",
    )
    autoscaling: AutoscalingSpec | None = Field(
        default=None, description="Engine pods by load; unset: spec.replicas, always."
    )
    routing: RoutingSpec = Field(
        default_factory=RoutingSpec, description="Which engine pod answers a request."
    )
    limits: ServingLimits = Field(
        default_factory=ServingLimits, description="Concurrency, queue, times and sizes."
    )
    auth: ServingAuth | None = Field(
        default=None, description="API keys; unset: whoever reaches the service may use it."
    )
    resources: Resources = Field(
        default_factory=Resources, description="Compute resources of each engine pod."
    )
    pod_template: ServingPods = Field(
        default_factory=ServingPods, description="Overrides of the pods."
    )
    image: ImageRef | None = Field(
        default=None, description="Image of all pods; default: the operator's own for this engine."
    )

    cel_rules: ClassVar[tuple[CelRule, ...]] = (
        *ENGINE_RULES,
        CelRule(
            "oldSelf.hasValue() || !has(self.autoscaling) || self.replicas == 1",
            "spec.replicas: is the autoscaler's while spec.autoscaling is set; remove it, and say "
            "minReplicas and maxReplicas",
            ".replicas",
            optional_old_self=True,
        ),
        CelRule(
            "(self.engine.name == 'llamacpp') == has(self.model.file)",
            "spec.model.file: is needed for engine llamacpp, and for no other; name a .gguf file "
            "in the model's folder, or use transformers",
            ".model.file",
            holds=lambda spec: (spec.engine.name == "llamacpp") == (spec.model.file is not None),
        ),
    )
