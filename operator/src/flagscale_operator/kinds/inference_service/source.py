"""Which files a service serves: those of a claim, or those that a TrainJob has made."""

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from flagscale_api.v1alpha1.inference_service import ServedModelSpec
from flagscale_api.v1alpha1.inference_service_status import ModelStatus
from flagscale_api.v1alpha1.train_job_status import Artifact

MODELS_DIR: Final = "/models"
_SCHEME: Final = "pvc://"


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A folder on a claim, and what is known of its content."""

    claim: str
    folder: str
    digest: str | None = None
    train_job: str | None = None

    @property
    def uri(self) -> str:
        """`pvc://<claim>/<folder>`."""
        return f"{_SCHEME}{self.claim}/{self.folder}"

    @property
    def mount(self) -> str:
        """Where the claim is mounted in engine pods."""
        return f"{MODELS_DIR}/{self.claim}"

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
    name = model.train_job_ref.name if model.train_job_ref else ""
    if job and job.phase == "Succeeded" and job.artifact:
        return _place(job.artifact.uri, job.artifact.digest, name)
    if known and known.train_job == name and known.uri:
        return _place(known.uri, known.digest, name)
    return NoSource(*_why_not(name, job))


def _place(uri: str, digest: str | None, job: str) -> ModelSource | NoSource:
    claim, _, folder = uri.removeprefix(_SCHEME).partition("/")
    if not (uri.startswith(_SCHEME) and claim and folder):
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
