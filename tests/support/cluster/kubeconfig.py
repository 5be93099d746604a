"""Writes kubeconfig files with everything embedded, so that one file can be handed around."""

import base64
from pathlib import Path
from typing import Any

import yaml


def render(server: str, authority: bytes, certificate: bytes, key: bytes) -> dict[str, Any]:
    """The kubeconfig of one client certificate (pure)."""
    cluster = {"server": server, "certificate-authority-data": _text(authority)}
    user = {"client-certificate-data": _text(certificate), "client-key-data": _text(key)}
    context = {"cluster": "flagscale", "user": "flagscale"}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "flagscale", "cluster": cluster}],
        "users": [{"name": "flagscale", "user": user}],
        "contexts": [{"name": "flagscale", "context": context}],
        "current-context": "flagscale",
    }


def write(target: Path, server: str, pki: Path, identity: str) -> None:
    """Write the kubeconfig of one identity of the folder of certificates."""
    content = render(
        server,
        (pki / "ca.crt").read_bytes(),
        (pki / f"{identity}.crt").read_bytes(),
        (pki / f"{identity}.key").read_bytes(),
    )
    target.write_text(yaml.safe_dump(content))
    target.chmod(0o600)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
