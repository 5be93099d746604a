"""Which files a service serves: of a claim, made by a TrainJob, or downloaded by each pod."""

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from flagscale_api.v1alpha1.inference_service import ServedModelSpec
from flagscale_api.v1alpha1.inference_service_status import ModelStatus
from flagscale_api.v1alpha1.train_job_status import Artifact
from flagscale_operator.kinds.inference_service.download import (
    ModelDownload,
    folder_name,
    plan_download,
)

MODELS_DIR: Final = "/models"
_SCHEME: Final = "pvc://"
_CACHE_FOLDER: Final = "downloaded"


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A folder on a claim, and what is known of its content."""

    claim: str | None
    """None: a disk of the pod's own."""
    folder: str
    digest: str | None = None
    train_job: str | None = None
    download: ModelDownload | None = None
    """How the folder gets its content, where it has none before the pod starts."""

    @property
    def uri(self) -> str:
        """`pvc://<claim>/<folder>`, or where it is downloaded from."""
        if self.download:
            return self.download.uri
        return f"{_SCHEME}{self.claim}/{self.folder}"

    @property
    def mount(self) -> str:
        """Where the claim, or the pod's own disk, is mounted in engine pods."""
        return _mount(self.claim)

    def path(self, file: str | None) -> str:
        """The model's folder, or a file in it, as engine pods see it."""
        return str(PurePosixPath(self.mount, self.folder, file or "."))


@dataclass(frozen=True, slots=True)
class NoSource:
    """Why there is nothing to serve yet: reason and sentence of a condition."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class TrainJobFact:
    """What a service needs to know of the TrainJob that it refers to."""

    name: str
    phase: str
    artifact: Artifact | None


def find_source(
    model: ServedModelSpec, job: TrainJobFact | None, known: ModelStatus | None
) -> ModelSource | NoSource:
    """The model's place, or why it has none.

    `known` is what status says is served: it goes on being served when the TrainJob that made it
    was deleted, or runs anew and has not finished.
    """
    if model.volume:
        return ModelSource(model.volume.claim_name, model.volume.folder)
    if model.hugging_face or model.uri:
        return _downloaded(model)
    name = model.train_job_ref.name if model.train_job_ref else ""
    if job and job.phase == "Succeeded" and job.artifact:
        return _place(job.artifact.uri, job.artifact.digest, name)
    if known and known.train_job == name and known.uri:
        return _place(known.uri, known.digest, name)
    return NoSource(*_why_not(name, job))


def _mount(claim: str | None) -> str:
    # No claim can have this name, which begins with a dot.
    return f"{MODELS_DIR}/{claim or '.downloaded'}"


def _downloaded(model: ServedModelSpec) -> ModelSource:
    claim = model.cache.claim_name if model.cache else None
    name = folder_name(model)
    folder = f"{_CACHE_FOLDER}/{name}" if claim else name
    download = plan_download(model, f"{_mount(claim)}/{folder}")
    return ModelSource(claim, folder, download=download)


def _place(uri: str, digest: str | None, job: str) -> ModelSource | NoSource:
    claim, _, folder = uri.removeprefix(_SCHEME).partition("/")
    on_claim = uri.startswith(_SCHEME) and claim and folder
    # The program that trained says where its model is: it must not lead out of the claim.
    if not on_claim or ".." in PurePosixPath(folder).parts:
        return NoSource(
            "ArtifactNotOnClaim",
            f"spec.model.trainJobRef: the artifact of TrainJob {job} lies on no claim, got {uri}; "
            "train with an output path on one of its spec.volumes",
        )
    return ModelSource(claim, folder, digest, job)


def _why_not(name: str, job: TrainJobFact | None) -> tuple[str, str]:
    where = "spec.model.trainJobRef"
    if job is None:
        return "TrainJobNotFound", (
            f"{where}: TrainJob {name} does not exist in this namespace; create it or correct the "
            "name; this service then goes on by itself"
        )
    if job.phase == "Succeeded":
        return "NoArtifact", (
            f"{where}: TrainJob {name} has succeeded but reported no artifact; name the folder of "
            "its model with spec.model.volume"
        )
    remedy = "this service starts once it has succeeded"
    if job.phase == "Failed":
        remedy = "correct it and create it anew; this service then goes on by itself"
    return "TrainJobNotReady", f"{where}: TrainJob {name} is {job.phase}; {remedy}"
