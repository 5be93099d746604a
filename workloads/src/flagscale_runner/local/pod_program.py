"""What a pod's template becomes on this machine: files, a command, an environment (pure)."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flagscale_operator.kinds.pod_parts import CONFIG_DIR
from flagscale_operator.kinds.pod_parts import TERMINATION_LOG as POD_TERMINATION_LOG
from flagscale_operator.kube.client import Manifest
from flagscale_runner.local.mounts import Mounts
from flagscale_runner.local.pod_folder import TERMINATION_LOG

KEPT: Final = ("PATH", "LANG", "LC_ALL", "USER", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "PYTHONPATH",
               "CUDA_VISIBLE_DEVICES", "XDG_CACHE_HOME")  # fmt: skip
"""Variables of the user's shell that a pod gets; the rest stays out, as in a cluster."""


class NotHereError(Exception):
    """A pod asks for something that only a cluster has; the message is a condition's."""


@dataclass(frozen=True, slots=True)
class PodProgram:
    """What to run."""

    command: list[str]
    environ: dict[str, str]
    cwd: Path
    grace_s: float


def mounts_of(pod: Manifest, folder: Path, claims: Mapping[str, Path]) -> Mounts:
    """Where each mount of the pod is; claims by name."""
    spec = pod["spec"]
    names = {
        v["name"]: claims[v["persistentVolumeClaim"]["claimName"]]
        for v in spec["volumes"]
        if "persistentVolumeClaim" in v
    }
    mounted = [
        (m["mountPath"], names[m["name"]])
        for m in spec["containers"][0]["volumeMounts"]
        if m["name"] in names
    ]
    own = [(CONFIG_DIR, folder / "config"), (POD_TERMINATION_LOG, folder / TERMINATION_LOG)]
    return Mounts((*mounted, *own))


def claims_of(pod: Manifest) -> list[str]:
    """Names of the volume claims that a pod mounts."""
    found = (v.get("persistentVolumeClaim") for v in pod["spec"]["volumes"])
    return [claim["claimName"] for claim in found if claim]


def program_of(pod: Manifest, mounts: Mounts, folder: Path, shell: Mapping[str, str]) -> PodProgram:
    """Raises NotHereError naming what can't be had on this machine."""
    spec, container = pod["spec"], pod["spec"]["containers"][0]
    _refuse_devices(container)
    kept = {name: shell[name] for name in KEPT if name in shell}
    given = {e["name"]: mounts.outside(_value(e)) for e in container["env"]}
    command = [mounts.outside(word) for word in container["command"]]
    if command[0] in ("python", "python3"):
        command[0] = sys.executable
    return PodProgram(
        command=command,
        environ={**given, **kept, "HOME": str(folder), "TMPDIR": str(folder)},
        cwd=Path(mounts.outside(container.get("workingDir") or str(folder))),
        grace_s=float(spec.get("terminationGracePeriodSeconds") or 30),
    )


def _refuse_devices(container: Manifest) -> None:
    limits = (container.get("resources") or {}).get("limits") or {}
    for name, count in limits.items():
        if "/" in name:
            raise NotHereError(
                f"spec.resources.limits: {name} is given by a cluster only, got {count}; leave it "
                "out here (a GPU of this machine is used where torch finds one)"
            )


def _value(variable: Manifest) -> str:
    source = variable.get("valueFrom")
    if not source:
        return str(variable.get("value", ""))
    secret = source["secretKeyRef"]
    raise NotHereError(
        f"spec.env: {variable['name']} comes from Secret {secret['name']}, which only a cluster "
        "has; give it a value here"
    )


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
