"""What the program that downloads a model is told, and what it tells when it ends."""

from typing import Final, Literal, get_args

from pydantic import Field

from flagscale_api.meta import ApiModel, StatusModel
from flagscale_api.v1alpha1.common import AbsolutePath
from flagscale_api.v1alpha1.model_download import HubModel, ModelUri, S3Location, Sha256

CONFIG_VARIABLE: Final = "FLAGSCALE_DOWNLOAD"
DownloadReason = Literal[
    "ModelNotFound",
    "ModelUnauthorized",
    "ModelDigestMismatch",
    "ModelDiskFull",
    "ModelTooLarge",
    "ModelUnusable",
    "ModelSourceUnreachable",
    "ModelDownloadFailed",
]
DOWNLOAD_REASONS: Final = frozenset(get_args(DownloadReason))


class DownloadConfig(ApiModel):
    """One model: `python -m flagscale_workloads.download`, as JSON in FLAGSCALE_DOWNLOAD."""

    folder: AbsolutePath = Field(description="Where the model appears, whole or not at all.")
    hugging_face: HubModel | None = Field(default=None, description="A repository of a hub.")
    uri: ModelUri | None = Field(default=None, description="https:// or s3://.")
    sha256: Sha256 | None = Field(default=None, description="Digest of the file at the URI.")
    s3: S3Location = Field(default_factory=S3Location, description="Where the bucket is.")
    file: str | None = Field(default=None, description="The GGUF file that is wanted.")
    max_bytes: int = Field(ge=1, description="Largest size of all files together.")
    token_file: AbsolutePath | None = Field(default=None, description="File with a hub's token.")
    credentials: AbsolutePath | None = Field(
        default=None, description="Folder with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
    )
    ca_file: AbsolutePath | None = Field(
        default=None, description="PEM file with the CA of the server; unset: the public ones."
    )


class DownloadOutcome(StatusModel):
    """The termination message of the program."""

    reason: DownloadReason | None = Field(default=None, description="Why it failed; unset: done.")
    message: str = Field(default="", description="One sentence for people.")
    revision: str | None = Field(default=None, description="Commit that a hub's revision meant.")
    digest: str | None = Field(default=None, description="Digest over all files.")
