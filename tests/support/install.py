"""CRDs into a control plane: ours, and the children's from their Go module."""

import os
import subprocess
import time
from pathlib import Path

from support.cluster import builds
from support.cluster.paths import folders
from support.cluster.recipes import BY_NAME

ROOT = Path(__file__).resolve().parents[2]
SERVED_TIMEOUT_S = 30
OUR_CRDS = tuple(sorted((ROOT / "crds").glob("*.flagscale.dev.yaml")))


def pytorchjob_crd(environ: dict[str, str]) -> Path:
    """The real CRD of PyTorchJob, out of the training-operator's module."""
    module = builds.module_folder(folders(environ).cache, BY_NAME["training-operator"])
    return module / "manifests" / "base" / "crds" / "kubeflow.org_pytorchjobs.yaml"


def ray_crds(environ: dict[str, str]) -> list[Path]:
    """The real CRDs of RayService and RayCluster, out of KubeRay's module."""
    module = builds.module_folder(folders(environ).cache, BY_NAME["ray-operator"])
    folder = module / "config" / "crd" / "bases"
    return [folder / f"ray.io_{plural}.yaml" for plural in ("rayclusters", "rayservices")]


def kubectl_path() -> Path:
    """kubectl of the project's environment."""
    return ROOT / ".venv" / "bin" / "kubectl"


def install_crds(kubeconfig: Path) -> None:
    """Apply all CRDs and wait until the API serves them."""
    files = [*OUR_CRDS, pytorchjob_crd(dict(os.environ))]
    base = [str(kubectl_path()), f"--kubeconfig={kubeconfig}"]
    for file in files:
        subprocess.run(
            [*base, "apply", "--server-side", "-f", str(file)], check=True, capture_output=True
        )
    ours = [file.stem for file in OUR_CRDS]
    for group in (*ours, "pytorchjobs.kubeflow.org"):
        _wait_until_served([*base, "get", group, "--all-namespaces"])


def _wait_until_served(command: list[str]) -> None:
    """Until the API server answers for a kind; it needs a moment after the CRD was applied."""
    deadline = time.monotonic() + SERVED_TIMEOUT_S
    while subprocess.run(command, capture_output=True).returncode:
        if time.monotonic() > deadline:
            msg = f"CRD: not served after {SERVED_TIMEOUT_S} s, got {' '.join(command)}"
            raise TimeoutError(msg)
        time.sleep(0.1)
