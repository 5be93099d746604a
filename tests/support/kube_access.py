"""TLS of a kubeconfig with embedded certificates, as the test clusters write it."""

import base64
import ssl
import tempfile
from pathlib import Path
from typing import Any


def client_ssl(kubeconfig: dict[str, Any]) -> ssl.SSLContext:
    """An SSL context that trusts the cluster and presents the first user's certificate."""
    cluster, user = kubeconfig["clusters"][0]["cluster"], kubeconfig["users"][0]["user"]
    context = ssl.create_default_context(cadata=_text(cluster, "certificate-authority"))
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = Path(folder) / "crt", Path(folder) / "key"
        certificate.write_text(_text(user, "client-certificate"))
        key.write_text(_text(user, "client-key"))
        context.load_cert_chain(certificate, key)
    return context


def _text(entry: dict[str, Any], name: str) -> str:
    """A PEM that is embedded (`<name>-data`) or lies in a file (`<name>`)."""
    if f"{name}-data" in entry:
        return base64.b64decode(entry[f"{name}-data"]).decode()
    return Path(entry[name]).read_text()
