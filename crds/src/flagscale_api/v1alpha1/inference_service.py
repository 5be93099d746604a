"""InferenceService: what a user may write."""

import re
from pathlib import PurePosixPath
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field, StringConstraints, field_validator

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
from flagscale_api.v1alpha1.engine import EngineChoice
from flagscale_api.v1alpha1.engine_choice import chosen_engine, chosen_in_cel
from flagscale_api.v1alpha1.engine_rules import ENGINE_RULES
from flagscale_api.v1alpha1.model_download import (
    DEFAULT_MAX_BYTES,
    DOWNLOAD_RULES,
    HuggingFaceSource,
    ModelCache,
    ModelUri,
    S3Settings,
    Sha256,
)

RelativePath = Annotated[
    str, StringConstraints(pattern=r"^[^/\x00:][^\x00:]*$", min_length=1, max_length=1024)
]
GgufName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_][-._A-Za-z0-9]*\.gguf$", max_length=253)
]
_SOURCES: Final = {
    "trainJobRef": "train_job_ref",
    "volume": "volume",
    "huggingFace": "hugging_face",
    "uri": "uri",
}
_ONE_SOURCE: Final = f"Exactly one of {', '.join(_SOURCES)}."
Runtime = Literal["rayservice", "pods"]
ON_PODS: Final = ("llamacpp", "simulator")
"""Engines whose pods run without Ray unless the service says otherwise."""
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
        description=f"Serve the artifact of a TrainJob, once it has succeeded. {_ONE_SOURCE}",
    )
    volume: ModelVolume | None = Field(
        default=None,
        description=f"Serve a model that lies on a claim. {_ONE_SOURCE}",
    )
    hugging_face: HuggingFaceSource | None = Field(
        default=None,
        description=f"Download a model of the Hugging Face hub before it is served. {_ONE_SOURCE} "
        "Of every download only safetensors, GGUF, JSON, tokenizer and text files are taken.",
    )
    uri: ModelUri | None = Field(
        default=None,
        description="Download a model before it is served: a .gguf file or a .tar, .tar.gz or .tgz "
        f"archive by https:// or s3://, or a folder of s3://bucket/folder. {_ONE_SOURCE}",
    )
    sha256: Sha256 | None = Field(
        default=None,
        description="SHA-256 of the file that uri names; https:// needs it.",
    )
    s3: S3Settings | None = Field(
        default=None, description="Server and credentials of an s3:// URI; unset: AWS, anonymous."
    )
    ca_secret_ref: SecretKeyRef | None = Field(
        default=None,
        description="PEM certificate of the CA of the server to download from; unset: public CAs.",
    )
    cache: ModelCache | None = Field(
        default=None,
        description="Keep the download on a claim, so that no pod downloads it again; unset: each "
        "new pod downloads it to its node.",
    )
    max_download_bytes: int | None = Field(
        default=None,
        ge=1 << 20,
        le=1 << 50,
        description=f"Largest download in bytes; unset: {DEFAULT_MAX_BYTES >> 30} GiB.",
    )
    file: GgufName | None = Field(
        default=None,
        description="GGUF file within the model's folder, for example model-q8_0.gguf; for engine "
        "llamacpp, which needs it.",
    )

    cel_rules: ClassVar[tuple[CelRule, ...]] = (
        CelRule(
            f"[{', '.join(f'has(self.{name})' for name in _SOURCES)}].filter(x, x).size() == 1",
            f"spec.model: exactly one of {', '.join(_SOURCES)} is needed; set one of them",
            holds=lambda model: (
                sum(getattr(model, field) is not None for field in _SOURCES.values()) == 1
            ),
        ),
        *DOWNLOAD_RULES,
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


def _effective(spec: str) -> str:
    """CEL: the runtime that a spec asks for, said or not."""
    default = f"({chosen_in_cel(spec)} in {list(ON_PODS)} ? 'pods' : 'rayservice')"
    return f"(has({spec}.runtime) ? {spec}.runtime : {default})"


RUNTIME_RULES: Final = (
    CelRule(
        f"{_effective('self')} == {_effective('oldSelf')}",
        "spec.runtime: can't be changed (unset, the engine decides: pods for "
        f"{' and '.join(ON_PODS)}, rayservice for others); make a service of another name",
        ".runtime",
    ),
    CelRule(
        f"!has(self.upgradeDeadlineSeconds) || {_effective('self')} == 'rayservice'",
        "spec.upgradeDeadlineSeconds: is for runtime rayservice alone; remove it",
        ".upgradeDeadlineSeconds",
        holds=lambda spec: (
            spec.upgrade_deadline_seconds is None or spec.effective_runtime == "rayservice"
        ),
    ),
)


class InferenceServiceSpec(ApiModel):
    """Desired model service: engine pods behind one OpenAI-compatible door."""

    model: ServedModelSpec = Field(description="What is served.")
    engine: EngineChoice = Field(
        default_factory=EngineChoice,
        description="What computes: one engine process in each engine pod. Unset: one is chosen.",
    )
    runtime: Runtime | None = Field(
        default=None,
        description="What keeps the engine pods. rayservice: Ray Serve, by KubeRay's RayService; "
        "pods: a Deployment. Unset: pods for llamacpp and simulator, rayservice for others. "
        "Immutable.",
    )
    upgrade_deadline_seconds: int | None = Field(
        default=None,
        ge=60,
        le=86400,
        description="Runtime rayservice: how long a new revision may take to get ready; then the "
        "revision before it is restored. Unset: 1380.",
    )
    replicas: int = Field(
        default=1,
        ge=0,
        le=64,
        description="Engine pods; 0 stops them. With spec.autoscaling it is the autoscaler's, so "
        "leave it out.",
    )
    autoscaling: AutoscalingSpec | None = Field(
        default=None,
        description="Engine pods by load; unset: spec.replicas, always.",
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

    @field_validator("engine", mode="before")
    @classmethod
    def _null_is_unset(cls, engine: Any) -> Any:  # noqa: ANN401 - of whoever wrote it
        """The API server fills in what is null, too."""
        if not isinstance(engine, dict):
            return {} if engine is None else engine
        return {name: value for name, value in engine.items() if value is not None}

    @property
    def effective_runtime(self) -> Runtime:
        """The runtime, said or not."""
        return self.runtime or ("pods" if chosen_engine(self) in ON_PODS else "rayservice")

    cel_rules: ClassVar[tuple[CelRule, ...]] = (
        *ENGINE_RULES,
        *RUNTIME_RULES,
        CelRule(
            "oldSelf.hasValue() || !has(self.autoscaling) || self.replicas == 1",
            "spec.replicas: is the autoscaler's while spec.autoscaling is set; remove it, and say "
            "minReplicas and maxReplicas",
            ".replicas",
            optional_old_self=True,
        ),
        CelRule(
            f"({chosen_in_cel('self')} == 'llamacpp') == has(self.model.file)",
            "spec.model.file: is needed for engine llamacpp, and for no other; name a .gguf file "
            "in the model's folder, or use transformers",
            ".model.file",
            holds=lambda spec: (chosen_engine(spec) == "llamacpp") == (spec.model.file is not None),
        ),
    )
