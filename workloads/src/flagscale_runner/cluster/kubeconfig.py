"""The user's kubeconfig: a context by name, and credentials that a plugin hands out."""

import base64
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from flagscale_operator.errors import InvalidSpecError
from flagscale_operator.kube.connection import Connection, parse_kubeconfig
from flagscale_runner.base import RunnerError

_PLUGIN_TIMEOUT_S: Final = 60


def connection_of(environ: Mapping[str, str], context: str | None) -> tuple[Connection, str]:
    """How to reach the cluster, and the namespace of the context.

    Raises RunnerError with what is missing.
    """
    file = _file(environ)
    try:
        config = yaml.safe_load(file.read_text()) or {}
    except (OSError, yaml.YAMLError) as error:
        raise RunnerError(
            f"kubeconfig: can't be read, got {file} ({error}); set KUBECONFIG, or leave out "
            "--on cluster to run on this machine"
        ) from error
    chosen = context or config.get("current-context", "")
    try:
        config = with_plugin_credentials({**config, "current-context": chosen}, environ)
        return parse_kubeconfig(config, folder=file.parent), _namespace(config, chosen)
    except (InvalidSpecError, OSError, KeyError, TypeError, ValueError) as error:
        raise RunnerError(f"{file}: {error}") from error


def _file(environ: Mapping[str, str]) -> Path:
    named = [part for part in environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    if len(named) > 1:
        raise RunnerError(
            f"KUBECONFIG: names {len(named)} files, got {environ['KUBECONFIG']}; name one, for "
            "example of `kubectl config view --flatten`"
        )
    return Path(named[0]) if named else Path.home() / ".kube" / "config"


def _namespace(config: Mapping[str, Any], name: str) -> str:
    contexts = {c["name"]: c["context"] for c in config.get("contexts") or ()}
    return contexts.get(name, {}).get("namespace") or "default"


def with_plugin_credentials(config: dict[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """The configuration with the answer of its user's `exec` plugin in place of the plugin.

    The protocol is that of client-go (client.authentication.k8s.io ExecCredential).
    """
    contexts = {c["name"]: c["context"] for c in config.get("contexts") or ()}
    user = contexts.get(config["current-context"], {}).get("user")
    users = [
        {**entry, "user": _resolved(entry["user"], environ)} if entry["name"] == user else entry
        for entry in config.get("users") or ()
    ]
    return {**config, "users": users}


def _resolved(user: dict[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    plugin = user.get("exec")
    if not plugin:
        return user
    status = _ask(plugin, environ)
    if status.get("clientCertificateData"):
        return {"client-certificate-data": _base64(status["clientCertificateData"]),
                "client-key-data": _base64(status["clientKeyData"])}  # fmt: skip
    return {"token": status["token"]}


def _ask(plugin: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    info = {"apiVersion": plugin["apiVersion"], "kind": "ExecCredential",
            "spec": {"interactive": False}}  # fmt: skip
    given = {entry["name"]: entry["value"] for entry in plugin.get("env") or ()}
    command = [plugin["command"], *(plugin.get("args") or ())]
    try:
        done = subprocess.run(
            command,
            env={**environ, **given, "KUBERNETES_EXEC_INFO": json.dumps(info)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PLUGIN_TIMEOUT_S,
            check=True,
        )
        status: dict[str, Any] = json.loads(done.stdout)["status"]
    except FileNotFoundError as error:
        hint = plugin.get("installHint") or "install it"
        raise RunnerError(
            f"kubeconfig: the plugin is not there, got {command[0]}; {hint}"
        ) from error
    except subprocess.CalledProcessError as error:
        raise RunnerError(f"kubeconfig: {command[0]} failed: {error.stderr.strip()}") from error
    except (subprocess.TimeoutExpired, ValueError, KeyError) as error:
        raise RunnerError(
            f"kubeconfig: {command[0]} gave no credentials ({error}); log in again"
        ) from error
    return status


def _base64(pem: str) -> str:
    return base64.b64encode(pem.encode()).decode()
