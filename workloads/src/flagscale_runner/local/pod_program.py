"""What a pod's template becomes on this machine: files, a command, an environment (pure)."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from flagscale_operator.kinds.inference_service.source import MODELS_DIR
from flagscale_operator.kinds.pod_parts import CONFIG_DIR
from flagscale_operator.kinds.pod_parts import TERMINATION_LOG as POD_TERMINATION_LOG
from flagscale_operator.kube.client import Manifest
from flagscale_runner.local.mounts import Mounts
from flagscale_runner.local.pod_folder import FIRST_LOG, TERMINATION_LOG
from flagscale_runner.local.secret_files import Values

KEPT: Final = ("PATH", "LANG", "LC_ALL", "USER", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "PYTHONPATH",
               "CUDA_VISIBLE_DEVICES", "XDG_CACHE_HOME")  # fmt: skip
"""Variables of the user's shell that a pod gets; the rest stays out, as in a cluster."""


class NotHereError(Exception):
    """A pod asks for something that only a cluster has; the message is a condition's."""


@dataclass(frozen=True, slots=True)
class PodProgram:
    """What to run, and what has to succeed before it."""

    command: list[str]
    environ: dict[str, str]
    cwd: Path
    grace_s: float
    first: "PodProgram | None" = None


def mounts_of(pod: Manifest, folder: Path, claims: Mapping[str, Path], downloads: Path) -> Mounts:
    """Where each mount of the pod is; claims by name. Pods share what they have downloaded."""
    spec = pod["spec"]
    containers = [*spec.get("initContainers", ()), *spec["containers"]]
    paths = {m["name"]: m["mountPath"] for c in containers for m in c["volumeMounts"]}
    mounted = []
    for volume in spec["volumes"]:
        path = paths.get(volume["name"], "")
        if "persistentVolumeClaim" in volume:
            mounted.append((path, claims[volume["persistentVolumeClaim"]["claimName"]]))
        elif path.startswith(f"{MODELS_DIR}/"):
            mounted.append((path, downloads))
        elif "projected" in volume:
            mounted.append((path, projected_folder(folder, volume["name"])))
    return Mounts((*mounted, (POD_TERMINATION_LOG, folder / TERMINATION_LOG)))


def projected_folder(folder: Path, volume: str) -> Path:
    """Where the files of a projected volume are written."""
    return folder / "files" / volume


def configuration(pod: Manifest) -> str:
    """Name of the volume with the program's configuration."""
    mounts = pod["spec"]["containers"][0]["volumeMounts"]
    return str(next(m["name"] for m in mounts if m["mountPath"] == CONFIG_DIR))


def claims_of(pod: Manifest) -> list[str]:
    """Names of the volume claims that a pod mounts."""
    found = (v.get("persistentVolumeClaim") for v in pod["spec"]["volumes"])
    return [claim["claimName"] for claim in found if claim]


def program_of(
    pod: Manifest,
    mounts: Mounts,
    folder: Path,
    shell: Mapping[str, str],
    secrets: Mapping[str, Values],
) -> PodProgram:
    """Secrets by name. Raises NotHereError naming what can't be had on this machine."""
    spec = pod["spec"]
    kept = {name: shell[name] for name in KEPT if name in shell}
    # As in an image: the python3 of a user's command is the one that has torch.
    path = os.pathsep.join(filter(None, (str(Path(sys.executable).parent), kept.get("PATH"))))
    own = {**kept, "PATH": path, "HOME": str(folder), "TMPDIR": str(folder)}

    def program(container: Manifest, **more: str) -> PodProgram:
        given = {e["name"]: _outside(_value(e, secrets), mounts) for e in container["env"]}
        command = [mounts.outside(word) for word in container["command"]]
        if command[0] in ("python", "python3"):
            command[0] = sys.executable
        return PodProgram(
            command=command,
            environ={**given, **own, **more},
            cwd=Path(mounts.outside(container.get("workingDir") or str(folder))),
            grace_s=float(spec.get("terminationGracePeriodSeconds") or 30),
        )

    log = {"FLAGSCALE_TERMINATION_LOG": str(folder / FIRST_LOG)}
    first = [program(container, **log) for container in spec.get("initContainers", ())]
    return replace(program(spec["containers"][0]), first=first[0] if first else None)


def missing_device(pod: Manifest) -> str | None:
    """Why no node has room for it, as the scheduler says it: none has such devices here."""
    limits = (pod["spec"]["containers"][0].get("resources") or {}).get("limits") or {}
    for name, count in limits.items():
        if "/" in name:
            return (
                f"Insufficient {name}: it is given by a cluster only, got {count}; leave it out "
                "here (a GPU of this machine is used where torch finds one)"
            )
    return None


def _outside(text: str, mounts: Mounts) -> str:
    """A variable with this machine's paths, in JSON too."""
    if not text.startswith("{"):
        return mounts.outside(text)
    try:
        return json.dumps(mounts.outside_all(json.loads(text)))
    except ValueError:
        return text


def _value(variable: Manifest, secrets: Mapping[str, Values]) -> str:
    source = variable.get("valueFrom")
    if not source:
        return str(variable.get("value", "")).replace("$$", "$")  # as Kubernetes reads it
    name, key = source["secretKeyRef"]["name"], source["secretKeyRef"]["key"]
    if name not in secrets:
        raise NotHereError(
            f'secret "{name}" not found, for spec.env {variable["name"]}; say what stands for it: '
            f"flagscale run FILE --secret {name}=FOLDER_OR_FILE"
        )
    if key not in secrets[name]:
        raise NotHereError(f"couldn't find key {key} in Secret {name}, for {variable['name']}")
    return secrets[name][key]


def files_of(pod: Manifest, mounts: Mounts) -> dict[str, str]:
    """Files of the downward API: annotations of the pod; paths in JSON are this machine's."""
    annotations: dict[str, str] = pod["metadata"].get("annotations") or {}
    sources = [s for v in pod["spec"]["volumes"] for s in v.get("projected", {}).get("sources", ())]
    items = [i for s in sources for i in s.get("downwardAPI", {}).get("items", ())]
    found = {i["path"]: annotations[_annotation(i["fieldRef"]["fieldPath"])] for i in items}
    return {
        name: json.dumps(mounts.outside_all(json.loads(text))) if name.endswith(".json") else text
        for name, text in found.items()
    }


def _annotation(field_path: str) -> str:
    return field_path.removeprefix("metadata.annotations['").removesuffix("']")
