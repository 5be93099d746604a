"""A Kubernetes API without a node: etcd, kube-apiserver and kube-controller-manager.

Several may run side by side, each with its own folder and ports::

    plane = control_plane.start(tmp_path / "plane")
    ... KUBECONFIG=plane.kubeconfig ...
    plane.stop_apiserver(); plane.start_apiserver()     # same port, same data
    plane.stop()
"""

import os
from dataclasses import dataclass
from pathlib import Path

from . import builds, kubeconfig, pki, ports
from .paths import folders
from .processes import Component, Supervisor
from .recipes import CONTROL_PLANE
from .server_components import ServerPlan, apiserver, controller_manager, etcd, identities

STOP_GRACE_SECONDS = 0.5
"""Then by force: the API server's own grace would wait for every watch to end."""
PORTS = {"etcd": 0, "etcd-peer": 0, "apiserver": 0, "controller-manager": 0}


@dataclass(frozen=True)
class ControlPlane:
    """A running control plane; `stop` ends it and leaves its data in `folder`."""

    kubeconfig: Path
    folder: Path
    components: tuple[Component, ...]

    def stop(self) -> None:
        """End all three processes, the API server before its store."""
        supervisor = Supervisor(self.folder)
        for component in reversed(self.components):
            supervisor.stop(component.name, STOP_GRACE_SECONDS)

    def stop_apiserver(self) -> None:
        """End the API server alone, as a crash of it would."""
        Supervisor(self.folder).stop("kube-apiserver", STOP_GRACE_SECONDS)

    def start_apiserver(self) -> None:
        """Start the API server again on its port and data, and wait until it is ready."""
        supervisor = Supervisor(self.folder)
        component = next(c for c in self.components if c.name == "kube-apiserver")
        supervisor.start(component)
        supervisor.wait_healthy(component)


def start(state_dir: Path, cache: Path | None = None) -> ControlPlane:
    """Start (or complete) the control plane of a folder and wait until it is ready.

    Args:
        state_dir: holds its keys, data, logs and `kubeconfig`; made if missing.
        cache: the folder of built programs; FLAGSCALE_CACHE or its default when left out.

    Raises:
        ClusterError: a component did not become healthy; the text has the log's path and end.
    """
    cache = cache or folders(os.environ).cache
    builds.ensure(cache, CONTROL_PLANE)
    state = state_dir.absolute()
    plan = ServerPlan(cache, state, ports.assign(state / "ports.json", PORTS), "127.0.0.1")
    write_credentials(plan)
    components = (etcd(plan), apiserver(plan), controller_manager(plan))
    run(Supervisor(state), components)
    return ControlPlane(state / "kubeconfig", state, components)


def run(supervisor: Supervisor, components: tuple[Component, ...]) -> None:
    """Start what does not run, each after the one before it is healthy."""
    for component in components:
        supervisor.start(component)
        supervisor.wait_healthy(component)


def write_credentials(plan: ServerPlan) -> None:
    """Make the keys and the kubeconfig of every client."""
    pki.ensure(plan.pki, identities(plan))
    for identity in plan.clients:
        kubeconfig.write(plan.kubeconfig(identity), plan.server, plan.pki, identity)
    (plan.state / "kubeconfig").unlink(missing_ok=True)
    (plan.state / "kubeconfig").symlink_to(plan.kubeconfig("admin").name)
