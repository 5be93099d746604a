"""The init container that brings a model to its pod before an engine starts.

Any pod spec can be given one: `with_download` adds it with its volumes. Secrets are mounted into it
alone; the engine never sees them.
"""

from dataclasses import dataclass
from typing import Any, Final

from flagscale_api.runtime.download import CONFIG_VARIABLE, DownloadConfig
from flagscale_api.v1alpha1.inference_service import ServedModelSpec
from flagscale_api.v1alpha1.model_download import DEFAULT_MAX_BYTES, HubModel, S3Location
from flagscale_operator.kinds.fingerprint import fingerprint
from flagscale_operator.kinds.pod_parts import TERMINATION_LOG, container_security

Manifest = dict[str, Any]
CONTAINER: Final = "download"
SECRETS_DIR: Final = "/etc/flagscale-download"
REQUESTS: Final = {"cpu": "100m", "memory": "256Mi"}
_SECRETS: Final = "download-secrets"
_KEYS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_CA: Final = "ca.pem"
_TOKEN: Final = "token"  # noqa: S105 - the name of a file


@dataclass(frozen=True, slots=True)
class Projection:
    """A key of a Secret as a file."""

    secret: str
    key: str
    path: str


@dataclass(frozen=True, slots=True)
class ModelDownload:
    """What is downloaded, and with which Secrets."""

    config: DownloadConfig
    secrets: tuple[Projection, ...]

    @property
    def uri(self) -> str:
        """`hf://<repo>@<revision>`, or the URI that the spec names."""
        hub = self.config.hugging_face
        return f"hf://{hub.repo}@{hub.revision}" if hub else self.config.uri or ""


def folder_name(model: ServedModelSpec) -> str:
    """A folder for this very download: another one never finds the files of this."""
    wanted = {"hugging_face", "uri", "sha256", "s3", "file"}
    hidden = {"hugging_face": {"token_secret_ref"}, "s3": {"credentials_secret_ref"}}
    told = model.model_dump(include=wanted, exclude=hidden, mode="json")
    source = model.hugging_face.repo if model.hugging_face else model.uri or ""
    return f"{source.rpartition('/')[2][:64]}-{fingerprint(told)[:10]}"


def plan_download(model: ServedModelSpec, folder: str) -> ModelDownload | None:
    """The download of a model into a folder, if it is one that is downloaded."""
    if model.hugging_face is None and model.uri is None:
        return None
    secrets = _secrets(model)
    paths = {projection.path for projection in secrets}
    hub = model.hugging_face
    config = DownloadConfig(
        folder=folder,
        hugging_face=HubModel(repo=hub.repo, revision=hub.revision, endpoint=hub.endpoint)
        if hub
        else None,
        uri=model.uri,
        sha256=model.sha256,
        s3=S3Location(endpoint=model.s3.endpoint, region=model.s3.region)
        if model.s3
        else S3Location(),
        file=model.file,
        max_bytes=model.max_download_bytes or DEFAULT_MAX_BYTES,
        token_file=f"{SECRETS_DIR}/{_TOKEN}" if _TOKEN in paths else None,
        credentials=SECRETS_DIR if _KEYS[0] in paths else None,
        ca_file=f"{SECRETS_DIR}/{_CA}" if _CA in paths else None,
    )
    return ModelDownload(config, secrets)


def _secrets(model: ServedModelSpec) -> tuple[Projection, ...]:
    found = []
    if model.hugging_face and model.hugging_face.token_secret_ref:
        token = model.hugging_face.token_secret_ref
        found.append(Projection(token.name, token.key, _TOKEN))
    if model.s3 and model.s3.credentials_secret_ref:
        name = model.s3.credentials_secret_ref.name
        found += [Projection(name, key, key) for key in _KEYS]
    if model.ca_secret_ref:
        found.append(Projection(model.ca_secret_ref.name, model.ca_secret_ref.key, _CA))
    return tuple(found)


def with_download(
    pod_spec: Manifest,
    download: ModelDownload | None,
    *,
    image: str,
    image_pull_policy: str,
    model_mount: Manifest,
) -> Manifest:
    """A pod spec whose containers start once the model is there; itself without a download.

    `model_mount` is the engine's mount of the volume that the model lies on.
    """
    if download is None:
        return pod_spec
    mounts = [{key: value for key, value in model_mount.items() if key != "readOnly"}]
    volumes = list(pod_spec["volumes"])
    if download.secrets:
        mounts.append({"name": _SECRETS, "mountPath": SECRETS_DIR, "readOnly": True})
        volumes.append(_secrets_volume(download))
    container = {
        "name": CONTAINER,
        "image": image,
        "imagePullPolicy": image_pull_policy,
        "command": ["python3", "-m", "flagscale_workloads.download"],
        "env": _environment(download.config),
        "resources": {"requests": dict(REQUESTS)},
        "securityContext": container_security(),
        "terminationMessagePath": TERMINATION_LOG,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }
    earlier = pod_spec.get("initContainers", [])
    return {**pod_spec, "initContainers": [*earlier, container], "volumes": volumes}


def _environment(config: DownloadConfig) -> list[Manifest]:
    text = config.model_dump_json(by_alias=True, exclude_none=True)
    return [
        # Kubernetes would take $(NAME) for a reference.
        {"name": CONFIG_VARIABLE, "value": text.replace("$", "$$")},
        {"name": "HF_HUB_OFFLINE", "value": "0"},
        {"name": "HF_HUB_DISABLE_TELEMETRY", "value": "1"},
        {"name": "PYTHONUNBUFFERED", "value": "1"},
    ]


def _secrets_volume(download: ModelDownload) -> Manifest:
    """Optional, so that it is the program that tells which Secret or key is missing."""
    sources = [
        {
            "secret": {
                "name": projection.secret,
                "optional": True,
                "items": [{"key": projection.key, "path": projection.path}],
            }
        }
        for projection in download.secrets
    ]
    return {"name": _SECRETS, "projected": {"sources": sources}}
