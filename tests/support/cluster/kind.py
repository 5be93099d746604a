"""The cluster `flagscale` of kind, where a Docker engine is at hand.

Not run on the machine this was written on, which has no Docker engine.
"""

import os
from pathlib import Path

from .commands import capture, run_logged
from .errors import ClusterError
from .paths import folders
from .recipes import KUBERAY, TRAINING_OPERATOR

NAME = "flagscale"
# The releases' own kustomize trees: CRDs, roles and deployments with their images.
TREES = (
    f"github.com/kubeflow/training-operator.git/manifests/overlays/standalone?ref={TRAINING_OPERATOR}",
    f"github.com/ray-project/kuberay/ray-operator/config/default?ref={KUBERAY}",
)
DEPLOYMENTS = (("kubeflow", "training-operator"), ("ray-system", "kuberay-operator"))


def kubeconfig() -> Path:
    """Where `up` writes the cluster's kubeconfig."""
    return folders(os.environ).cache / "state" / "kind" / "kubeconfig"


def up() -> Path:
    """Create the cluster unless it exists, install both operators, return the kubeconfig."""
    target = kubeconfig()
    log = target.parent / "kind.log"
    target.parent.mkdir(parents=True, exist_ok=True)
    if NAME not in capture(["kind", "get", "clusters"]).split():
        run_logged(["kind", "create", "cluster", "--name", NAME, "--wait", "120s"], log, "kind")
    target.write_text(capture(["kind", "get", "kubeconfig", "--name", NAME]))
    kubectl = ["kubectl", f"--kubeconfig={target}"]
    for tree in TREES:
        run_logged([*kubectl, "apply", "--server-side", "-k", tree], log, "kubectl apply")
    for namespace, name in DEPLOYMENTS:
        wait = ["-n", namespace, "rollout", "status", f"deployment/{name}", "--timeout=300s"]
        run_logged([*kubectl, *wait], log, f"waiting for {name}")
    return target


def down() -> None:
    """Delete the cluster."""
    capture(["kind", "delete", "cluster", "--name", NAME])


def load(archive: Path) -> None:
    """Load an image archive into the cluster's node."""
    if not archive.exists():
        raise ClusterError(f"load-image: no such file, got {archive}; build the image first")
    capture(["kind", "load", "image-archive", str(archive), "--name", NAME])
