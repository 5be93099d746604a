"""Models that are downloaded: from a hub, from an S3 bucket, from an HTTPS server."""

import re
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field, StringConstraints

from flagscale_api.meta import ApiModel, CelRule
from flagscale_api.v1alpha1.common import DnsSubdomain, SecretKeyRef

if TYPE_CHECKING:
    from flagscale_api.v1alpha1.inference_service import ServedModelSpec

DEFAULT_MAX_BYTES: Final = 200 << 30
SINGLE_FILE: Final = "[.](gguf|tar|tar[.]gz|tgz)$"
"""What a URI names when it is no folder."""

RepoName = Annotated[
    str,
    StringConstraints(
        pattern=r"^[A-Za-z0-9][-._A-Za-z0-9]*(/[A-Za-z0-9][-._A-Za-z0-9]*)?$", max_length=192
    ),
]
RevisionName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][-._/A-Za-z0-9]*$", max_length=128)
]
EndpointUrl = Annotated[
    str,
    StringConstraints(
        pattern=r"^https?://[A-Za-z0-9][-.:A-Za-z0-9]*(/[^\s?#@]*)?$", max_length=512
    ),
]
ModelUri = Annotated[
    str,
    StringConstraints(
        pattern=r"^(https|s3)://[A-Za-z0-9][-.:A-Za-z0-9]*/[^\s?#@]*[^\s?#@/]$", max_length=2048
    ),
]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$", max_length=64)]


class HubModel(ApiModel):
    """A repository of a model hub."""

    repo: RepoName = Field(description="Repository, for example acme/tiny-llama.")
    revision: RevisionName = Field(
        description="Commit, tag or branch. A commit is the same model for every pod; a branch is "
        "looked up when a pod starts, or once where spec.model.cache keeps what was found."
    )
    endpoint: EndpointUrl | None = Field(
        default=None, description="A mirror of the hub; unset: the Hugging Face hub itself."
    )


class HuggingFaceSource(HubModel):
    """A model of the Hugging Face hub, or of a mirror that speaks its API."""

    token_secret_ref: SecretKeyRef | None = Field(
        default=None, description="Access token, for private and gated repositories."
    )


class S3Location(ApiModel):
    """Where an S3 bucket is."""

    endpoint: EndpointUrl | None = Field(
        default=None, description="URL of an S3-compatible server; unset: AWS."
    )
    region: Annotated[str, StringConstraints(pattern=r"^[-a-z0-9]+$", max_length=64)] | None = (
        Field(default=None, description="Region of the bucket; unset: us-east-1.")
    )


class SecretRef(ApiModel):
    """A Secret in the same namespace."""

    name: DnsSubdomain = Field(description="Name of the Secret.")


class S3Settings(S3Location):
    """Where the bucket of an s3:// URI is, and as whom it is read."""

    credentials_secret_ref: SecretRef | None = Field(
        default=None,
        description="Secret with the keys AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if need "
        "be, AWS_SESSION_TOKEN; unset: the bucket is read anonymously.",
    )


class ModelCache(ApiModel):
    """A claim that keeps what was downloaded."""

    claim_name: DnsSubdomain = Field(
        description="Name of a PersistentVolumeClaim in the same namespace, written below "
        "downloaded/. With replicas on several nodes it must be ReadWriteMany."
    )


def _single_file(model: "ServedModelSpec") -> bool:
    return bool(model.uri and re.search(SINGLE_FILE, model.uri))


def _downloads(model: "ServedModelSpec") -> bool:
    return model.hugging_face is not None or model.uri is not None


def _needs_download(field: str, alias: str) -> CelRule:
    return CelRule(
        f"!has(self.{alias}) || has(self.huggingFace) || has(self.uri)",
        f"spec.model.{alias}: is about downloads, and there is none; remove it, or use huggingFace "
        "or uri",
        f".{alias}",
        holds=lambda model: getattr(model, field) is None or _downloads(model),
    )


def _is(suffix: str) -> str:
    return f"has(self.uri) && self.uri.matches('{suffix}')"


DOWNLOAD_RULES: Final = (
    CelRule(
        f"!has(self.uri) || self.uri.startsWith('s3://') || self.uri.matches('{SINGLE_FILE}')",
        "spec.model.uri: an https server has no folders; name a .gguf, .tar, .tar.gz or .tgz file",
        ".uri",
        holds=lambda m: not m.uri or m.uri.startswith("s3://") or _single_file(m),
    ),
    CelRule(
        f"has(self.sha256) ? ({_is(SINGLE_FILE)}) : "
        "(!has(self.uri) || self.uri.startsWith('s3://'))",
        "spec.model.sha256: is needed for an https URI, allowed for a single file of s3, and for "
        "nothing else; `sha256sum` tells it",
        ".sha256",
        holds=lambda m: _single_file(m) if m.sha256 else not m.uri or m.uri.startswith("s3://"),
    ),
    CelRule(
        "!has(self.s3) || (has(self.uri) && self.uri.startsWith('s3://'))",
        "spec.model.s3: is for s3:// URIs only; remove it, or correct spec.model.uri",
        ".s3",
        holds=lambda m: m.s3 is None or bool(m.uri and m.uri.startswith("s3://")),
    ),
    CelRule(
        f"!({_is('[.]gguf$')}) || (has(self.file) && self.uri.endsWith('/' + self.file))",
        "spec.model.file: must be the name of the file that spec.model.uri ends with",
        ".file",
        holds=lambda m: (
            not (m.uri and m.uri.endswith(".gguf")) or bool(m.file and m.uri.endswith(f"/{m.file}"))
        ),
    ),
    _needs_download("cache", "cache"),
    _needs_download("ca_secret_ref", "caSecretRef"),
    _needs_download("max_download_bytes", "maxDownloadBytes"),
)
