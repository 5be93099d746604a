"""The source that a configuration names, with the secrets that it needs."""

import re
from pathlib import Path

from flagscale_api.runtime.download import DownloadConfig
from flagscale_workloads.download.errors import DownloadError
from flagscale_workloads.download.remote import Source

_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


def open_source(config: DownloadConfig) -> Source:
    """Raises DownloadError when a Secret lacks what it is there for."""
    ca_file = Path(config.ca_file) if config.ca_file else None
    if ca_file:
        _read(ca_file, "spec.model.caSecretRef")
    # Each library takes a second to load, so only the one that is needed is.
    if config.hugging_face:
        from flagscale_workloads.download.hub import HubRepository
        from flagscale_workloads.download.web import make_client

        path = config.token_file
        token = _read_header(Path(path), "spec.model.huggingFace.tokenSecretRef") if path else None
        return HubRepository(config.hugging_face, token, make_client(ca_file))
    uri = config.uri or ""
    if uri.startswith("s3://"):
        from flagscale_workloads.download import s3

        credentials = _credentials(Path(config.credentials)) if config.credentials else {}
        return s3.BucketFolder(uri, config.sha256, s3.make_client(config.s3, credentials, ca_file))
    if config.sha256 is None:
        msg = f"spec.model.sha256: is needed for an https URI, got {uri}; set it"
        raise DownloadError("ModelDownloadFailed", msg)
    from flagscale_workloads.download import web

    return web.WebFile(uri, config.sha256, web.make_client(ca_file))


def _credentials(folder: Path) -> dict[str, str]:
    field = "spec.model.s3.credentialsSecretRef"
    needed = {key: _read_header(folder / key, field) for key in _KEYS[:2]}
    session = folder / _KEYS[2]
    return needed | ({_KEYS[2]: _read_header(session, field)} if session.exists() else {})


def _read(path: Path, field: str) -> str:
    """A file of a Secret, whose content never appears in a message."""
    try:
        text = path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        text = ""
    if not text:
        msg = f"{field}: the Secret has no key {path.name}, or no text in it; create or correct it"
        raise DownloadError("ModelUnauthorized", msg)
    return text


def _read_header(path: Path, field: str) -> str:
    """The same for what is sent in a header; else the client would quote it in its complaint."""
    text = _read(path, field)
    if not re.fullmatch(r"[\x21-\x7e]{1,4096}", text):
        msg = f"{field}: key {path.name} holds characters that no such secret has; correct it"
        raise DownloadError("ModelUnauthorized", msg)
    return text
