"""How the API server is reached: from a kubeconfig, or as a pod's service account."""

import base64
import os
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from flagscale_operator.errors import InvalidSpecError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True)
class Connection:
    """Server and credentials; `token_file` is read anew for each session, as it rotates."""

    server: str
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    token: str | None = None
    token_file: Path | None = None
    insecure: bool = False

    def bearer(self) -> str | None:
        """The newest bearer token, if this connection uses one."""
        return self.token_file.read_text().strip() if self.token_file else self.token

    def ssl_context(self) -> ssl.SSLContext:
        """TLS that trusts the cluster's CA and presents the client certificate."""
        context = ssl.create_default_context(cadata=self.ca)
        # Python 3.13 refuses certificates without key identifiers, which many clusters have and
        # client-go takes.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate and self.key:
            # The ssl module loads certificates from files only.
            with tempfile.TemporaryDirectory() as folder:
                certificate, key = Path(folder) / "crt", Path(folder) / "key"
                certificate.write_text(self.certificate)
                key.touch(mode=0o600)
                key.write_text(self.key)
                context.load_cert_chain(certificate, key)
        return context


def load_connection(environ: Mapping[str, str] = os.environ) -> Connection:
    """The kubeconfig of KUBECONFIG or the home folder, else the pod's service account.

    Raises:
        InvalidSpecError: there is neither, or the kubeconfig needs a plugin.
    """
    host = environ.get("KUBERNETES_SERVICE_HOST")
    file = Path(environ.get("KUBECONFIG") or Path.home() / ".kube" / "config")
    if "KUBECONFIG" not in environ and host and SERVICE_ACCOUNT.exists():
        port = environ.get("KUBERNETES_SERVICE_PORT", "443")
        return Connection(
            server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
            ca=(SERVICE_ACCOUNT / "ca.crt").read_text(),
            token_file=SERVICE_ACCOUNT / "token",
        )
    if not file.exists():
        msg = f"kubeconfig: no such file, got {file}; set KUBECONFIG or run in a pod"
        raise InvalidSpecError(msg)
    return parse_kubeconfig(yaml.safe_load(file.read_text()) or {}, folder=file.parent)


def parse_kubeconfig(config: Mapping[str, Any], *, folder: Path) -> Connection:
    """The current context of a kubeconfig; relative paths are relative to `folder`."""
    contexts = {c["name"]: c["context"] for c in config.get("contexts") or ()}
    context = contexts.get(config.get("current-context", ""))
    if context is None:
        current = config.get("current-context")
        msg = f"kubeconfig: current-context does not exist, got {current!r}; choose one"
        raise InvalidSpecError(msg)
    cluster = _named(config, "cluster", context["cluster"])
    user = _named(config, "user", context["user"])
    if "exec" in user or "auth-provider" in user:
        msg = "kubeconfig: users.exec plugins are not supported; use a certificate or a token"
        raise InvalidSpecError(msg)
    token_file = user.get("tokenFile")
    return Connection(
        server=cluster["server"].rstrip("/"),
        ca=_pem(cluster, "certificate-authority", folder),
        certificate=_pem(user, "client-certificate", folder),
        key=_pem(user, "client-key", folder),
        token=user.get("token"),
        token_file=folder / token_file if token_file else None,
        insecure=bool(cluster.get("insecure-skip-tls-verify", False)),
    )


def _named(config: Mapping[str, Any], kind: str, name: str) -> Mapping[str, Any]:
    for entry in config.get(f"{kind}s") or ():
        if entry["name"] == name:
            found: Mapping[str, Any] = entry[kind]
            return found
    msg = f"kubeconfig: the context's {kind} does not exist, got {name!r}; add it"
    raise InvalidSpecError(msg)


def _pem(entry: Mapping[str, Any], name: str, folder: Path) -> str | None:
    if entry.get(f"{name}-data"):
        return base64.b64decode(entry[f"{name}-data"]).decode()
    return (folder / entry[name]).read_text() if entry.get(name) else None
