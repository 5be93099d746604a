"""The command lines of the operators that run beside the cluster as processes of this machine.

They run in a mount namespace of their own, where /etc/resolv.conf names the cluster's DNS: KubeRay
talks to its pods by service name.
"""

import json
from pathlib import Path
from typing import Any

from .pki import Identity
from .processes import Component
from .server_components import ServerPlan

BUSYBOX_IMAGE = "localhost/flagscale-busybox:1"
TRAINING_NAMESPACE = "kubeflow"
WEBHOOK_CERTS = Path("/tmp/k8s-webhook-server/serving-certs")
"""Fixed in the training-operator; only its mount namespace sees our files there."""
WEBHOOK_SECRET = "training-operator-webhook-cert"
WEBHOOK_IDENTITY = Identity(
    "webhook",
    "training-operator.kubeflow.svc",
    names=("training-operator.kubeflow.svc", "training-operator", "localhost", "127.0.0.1"),
)
STORAGE_NAMESPACE = "local-path-storage"
# Argument pairs "source target" up to "--", then the command; nothing is built from input.
BIND_AND_RUN = (
    'while [ "$1" != -- ]; do mount --bind "$1" "$2" || exit 1; shift 2; done; shift; exec "$@"'
)


def resolv_conf(dns: str) -> str:
    """The resolver file of a process that acts as if it ran in a pod."""
    return f"nameserver {dns}\nsearch svc.cluster.local cluster.local\noptions ndots:5\n"


def with_mounts(binds: tuple[tuple[str, str], ...], argv: tuple[str, ...]) -> tuple[str, ...]:
    """A command that sees other files at the given paths (pairs of source and target)."""
    pairs = tuple(path for pair in binds for path in pair)
    unshare = ("/usr/bin/unshare", "--mount", "--propagation", "private")
    return (*unshare, "/bin/sh", "-c", BIND_AND_RUN, "sh", *pairs, "--", *argv)


def training_operator(plan: ServerPlan) -> Component:
    """Kubeflow's training-operator, for PyTorchJob alone, with its real validating webhook."""
    argv = (
        plan.program("training-operator"),
        "--enable-scheme=pytorchjob",
        "--controller-threads=4",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        f"--pytorch-init-container-image={BUSYBOX_IMAGE}",
        f"--webhook-server-port={plan.ports['training-webhook']}",
        f"--metrics-bind-address=127.0.0.1:{plan.ports['training-metrics']}",
        f"--health-probe-bind-address=127.0.0.1:{plan.ports['training-health']}",
    )
    binds = (
        (str(plan.state / "operators.resolv.conf"), "/etc/resolv.conf"),
        (str(plan.state / "webhook-certs"), str(WEBHOOK_CERTS)),
    )
    health = f"http://127.0.0.1:{plan.ports['training-health']}/readyz"
    files = (plan.kubeconfig("admin"), plan.state / "webhook-certs" / "tls.crt")
    return Component("training-operator", with_mounts(binds, argv), health, _admin(plan), files)


def ray_operator(plan: ServerPlan) -> Component:
    """The KubeRay operator."""
    argv = (
        plan.program("ray-operator"),
        "--enable-leader-election=false",
        "--reconcile-concurrency=4",
        f"--metrics-addr=127.0.0.1:{plan.ports['ray-metrics']}",
        f"--health-probe-bind-address=127.0.0.1:{plan.ports['ray-health']}",
    )
    binds = ((str(plan.state / "operators.resolv.conf"), "/etc/resolv.conf"),)
    health = f"http://127.0.0.1:{plan.ports['ray-health']}/readyz"
    env = {**_admin(plan), "ENABLE_WEBHOOKS": "false"}
    files = (plan.kubeconfig("admin"),)
    return Component("ray-operator", with_mounts(binds, argv), health, env, files)


def local_path_provisioner(plan: ServerPlan) -> Component:
    """Makes a folder of this machine for every volume claim. It has no health address."""
    argv = (
        plan.program("local-path-provisioner"),
        "start",
        f"--config={plan.state / 'local-path' / 'config.json'}",
        f"--helper-pod-file={plan.state / 'local-path' / 'helperPod.yaml'}",
        f"--helper-image={BUSYBOX_IMAGE}",
        f"--kubeconfig={plan.kubeconfig('admin')}",
        f"--namespace={STORAGE_NAMESPACE}",
    )
    files = (plan.kubeconfig("admin"),)
    return Component("local-path-provisioner", argv, "", files=files)


def local_path_config(plan: ServerPlan) -> dict[str, Any]:
    """Where volumes lie: in the state folder, so `down` removes them."""
    everywhere = "DEFAULT_PATH_FOR_NON_LISTED_NODES"
    return {"nodePathMap": [{"node": everywhere, "paths": [str(plan.state / "volumes")]}]}


def local_path_config_json(plan: ServerPlan) -> str:
    """The same as text."""
    return json.dumps(local_path_config(plan))


def _admin(plan: ServerPlan) -> dict[str, str]:
    return {"KUBECONFIG": str(plan.kubeconfig("admin"))}
