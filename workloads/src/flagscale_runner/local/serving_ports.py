"""Ports and files of serving pods on one machine, where a cluster has an address for each pod."""

import json
import socket
from pathlib import Path
from typing import Any

from flagscale_api import keys
from flagscale_operator.kube.client import Manifest
from flagscale_runner.local.durable import write_whole
from flagscale_runner.local.folders import Folders

ADDRESS = "127.0.0.1"


def is_serving(pod: Manifest) -> bool:
    """Whether a pod is an InferenceService's."""
    return keys.INFERENCE_SERVICE_LABEL in pod["metadata"]["labels"]


def port_of_pod(folders: Folders, pod: Manifest) -> int | None:
    """The port that a started pod listens on."""
    try:
        return int((folders.pods / pod["metadata"]["uid"] / "port").read_text())
    except FileNotFoundError:
        return None


def front_port(folders: Folders, namespace: str, service: str) -> int | None:
    """The port where clients ask a service."""
    try:
        return int(folders.front_port(namespace, service).read_text())
    except FileNotFoundError:
        return None


def assign_port(folders: Folders, pod: Manifest) -> int:
    """A free port for a pod that starts; a gateway gets the one that its service had before."""
    metadata = pod["metadata"]
    labels = metadata["labels"]
    port = None
    if labels[keys.COMPONENT_LABEL] == "gateway":
        file = folders.front_port(metadata["namespace"], labels[keys.INFERENCE_SERVICE_LABEL])
        port = _if_free(file)
        port = port or free_port()
        write_whole(file, str(port))
    port = port or free_port()
    write_whole(folders.pods / metadata["uid"] / "port", str(port))
    return port


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        return int(probe.getsockname()[1])


def _if_free(file: Path) -> int | None:
    try:
        port = int(file.read_text())
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((ADDRESS, port))
    except (OSError, ValueError):
        return None
    return port


def at_home(config: dict[str, Any], folders: Folders, pod: Manifest, port: int) -> dict[str, Any]:
    """A serving configuration with this machine's addresses and environments."""
    metadata = pod["metadata"]
    service = metadata["labels"][keys.INFERENCE_SERVICE_LABEL]
    gateway = {**config["gateway"], "host": ADDRESS, "port": port}
    found = {**config, "gateway": gateway}
    if config.get("discovery"):
        file = folders.addresses(metadata["namespace"], service)
        found["discovery"] = {"file": str(file)}
    python = folders.engine_python(config["engine"]["name"])
    processes = {k: v for k, v in (config.get("processes") or {}).items() if k != "python"}
    return {**found, "processes": {**processes, "python": str(python)} if python else processes}


def serve_file(text: str, folders: Folders, pod: Manifest, port: int) -> str:
    """The same for the text of the file."""
    return json.dumps(at_home(json.loads(text), folders, pod, port))
