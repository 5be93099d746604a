"""CRDs into a control plane: ours, and the children's from their Go module."""

import subprocess
from pathlib import Path

from support.cluster import builds
from support.cluster.paths import folders
from support.cluster.recipes import BY_NAME

ROOT = Path(__file__).resolve().parents[2]
OUR_CRDS = ROOT / "crds" / "trainjobs.flagscale.dev.yaml"


def pytorchjob_crd(environ: dict[str, str]) -> Path:
    """The real CRD of PyTorchJob, out of the training-operator's module."""
    module = builds.module_folder(folders(environ).cache, BY_NAME["training-operator"])
    return module / "manifests" / "base" / "crds" / "kubeflow.org_pytorchjobs.yaml"


def kubectl_path() -> Path:
    """kubectl of the project's environment."""
    return ROOT / ".venv" / "bin" / "kubectl"


def install_crds(kubeconfig: Path) -> None:
    """Apply both CRDs and wait until the API serves them."""
    import os

    files = [OUR_CRDS, pytorchjob_crd(dict(os.environ))]
    base = [str(kubectl_path()), f"--kubeconfig={kubeconfig}"]
    for file in files:
        subprocess.run([*base, "apply", "--server-side", "-f", str(file)], check=True)
    subprocess.run(
        [*base, "wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"],
        check=True,
    )
