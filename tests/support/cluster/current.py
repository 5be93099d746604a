"""The cluster that the current kubeconfig names: used as it is, never changed."""

import os
import shutil
from pathlib import Path

from .commands import capture
from .errors import ClusterError

PYTORCHJOB = "pytorchjobs.kubeflow.org"


def kubeconfig() -> Path:
    """KUBECONFIG's first file, or kubectl's default."""
    first = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
    return Path(first) if first else Path.home() / ".kube" / "config"


def up() -> Path:
    """Check that the cluster answers and knows PyTorchJobs; return the kubeconfig."""
    program = shutil.which("kubectl")
    if program is None:
        raise ClusterError("current cluster: kubectl is not on PATH; install it")
    try:
        capture([program, f"--kubeconfig={kubeconfig()}", "get", "crd", PYTORCHJOB])
    except ClusterError as error:
        raise ClusterError(
            f"current cluster: the CRD {PYTORCHJOB} cannot be read, got `{error}`; install the "
            f"Kubeflow training-operator or set KUBECONFIG to a cluster that has it"
        ) from error
    return kubeconfig()


def down() -> None:
    """Refuse: the cluster is not ours to remove."""
    raise ClusterError("current cluster: not started by us, so not taken down; uninstall by hand")
