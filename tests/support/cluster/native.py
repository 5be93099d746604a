"""The native cluster: every component a process of this machine, pods in containerd.

For tests::

    native.stop_component("kubelet"); native.start_component("kubelet")
"""

import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from . import addons, builds, control_plane, network, ports, store
from . import node_components as node
from . import operator_components as operators
from . import server_components as server
from .choice import require_native
from .errors import ClusterError
from .health import healthy
from .locks import locked
from .machine import install_packages, missing_packages, own_address, this_machine
from .paths import Folders, folders
from .processes import Component, Supervisor
from .progress import say, timed
from .recipes import NATIVE

CLIENTS = ("admin", "controller-manager", "scheduler", "proxy", "kubelet")
PORTS = {
    "etcd": 2379,
    "etcd-peer": 2380,
    "apiserver": 6443,
    "controller-manager": 10257,
    "scheduler": 10259,
    "kubelet": 10250,
    "kubelet-health": 10248,
    "proxy-health": 10256,
    "proxy-metrics": 10249,
    "coredns-health": 0,
    "training-webhook": 0,
    "training-metrics": 0,
    "training-health": 0,
    "ray-metrics": 0,
    "ray-health": 0,
}
NODE_READY_SECONDS = 60.0


@dataclass(frozen=True)
class Status:
    """One line of the status table."""

    name: str
    pid: int | None
    healthy: bool


def plan_of(where: Folders) -> server.ServerPlan:
    """The plan of the native cluster under these folders."""
    assigned = ports.assign(where.state / "ports.json", PORTS)
    return server.ServerPlan(where.cache, where.state, assigned, own_address(), CLIENTS)


def components(plan: server.ServerPlan) -> tuple[Component, ...]:
    """All components in the order of their start (pure)."""
    return (
        server.etcd(plan),
        server.apiserver(plan),
        server.controller_manager(plan),
        server.scheduler(plan),
        node.containerd(plan),
        node.kubelet(plan),
        node.kube_proxy(plan),
        node.coredns(plan),
        operators.training_operator(plan),
        operators.ray_operator(plan),
        operators.local_path_provisioner(plan),
    )


def up(where: Folders | None = None) -> Path:
    """Build what is missing, start what does not run, and return the kubeconfig's path."""
    where = where or folders(os.environ)
    require_native(this_machine())
    with locked(where.lock, "starting or stopping the cluster"):
        return _up(where)


def _up(where: Folders) -> Path:
    install_packages(missing_packages(), where.cache / "logs" / "apt.log")
    builds.ensure(where.cache, NATIVE)
    plan = plan_of(where)
    control_plane.write_credentials(plan)
    _write_files(plan)
    parts = {component.name: component for component in components(plan)}
    supervisor = Supervisor(where.state)
    with timed("control plane"):
        _start(supervisor, parts, ("etcd", "kube-apiserver"))
        _start(supervisor, parts, ("kube-controller-manager", "kube-scheduler", "containerd"))
    network.make_bridge()
    store.ensure_builtin(plan)
    with timed("node"):
        _start(supervisor, parts, ("kubelet", "kube-proxy", "coredns"))
    with timed("custom resources and storage class"):
        addons.install(plan)
    with timed("node readiness"):
        _wait_node(plan)
    with timed("operators"):
        _start(supervisor, parts, ("training-operator", "ray-operator", "local-path-provisioner"))
    say(f"ready: export KUBECONFIG={where.kubeconfig}")
    return where.kubeconfig


def status(where: Folders | None = None) -> list[Status]:
    """Every component with its pid and whether it answers."""
    where = where or folders(os.environ)
    supervisor = Supervisor(where.state)
    return [_status_of(supervisor, component) for component in components(plan_of(where))]


def stop_component(name: str, where: Folders | None = None) -> None:
    """End one component as a crash would; its data and, for the kubelet, its pods stay."""
    where = where or folders(os.environ)
    _component(name, where)
    Supervisor(where.state).stop(name, control_plane.STOP_GRACE_SECONDS)


def start_component(name: str, where: Folders | None = None) -> None:
    """Start one component again and wait until it answers."""
    where = where or folders(os.environ)
    component = _component(name, where)
    _start(Supervisor(where.state), {name: component}, (name,))


def _component(name: str, where: Folders) -> Component:
    known = {component.name: component for component in components(plan_of(where))}
    if name not in known:
        raise ClusterError(f"component: unknown, got {name!r}; choose one of {', '.join(known)}")
    return known[name]


def _start(supervisor: Supervisor, parts: Mapping[str, Component], names: Iterable[str]) -> None:
    wanted = [parts[name] for name in names]
    for component in wanted:
        if supervisor.start(component):
            say(f"started {component.name}")
    for component in wanted:
        if component.health:
            supervisor.wait_healthy(component)


def _status_of(supervisor: Supervisor, component: Component) -> Status:
    record = supervisor.record(component.name)
    answers = record is not None and (not component.health or healthy(component.health))
    return Status(component.name, record.pid if record else None, answers)


def _write_files(plan: server.ServerPlan) -> None:
    texts = {
        "containerd.toml": node.containerd_config(plan),
        "kubelet.json": json.dumps(node.kubelet_config(plan), indent=1),
        "Corefile": node.corefile(plan),
        "cni/10-flagscale.conflist": node.cni_config(),
        "operators.resolv.conf": operators.resolv_conf(node.DNS_IP),
    }
    for name, text in texts.items():
        target = plan.state / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    addons.write_operator_files(plan)


def _wait_node(plan: server.ServerPlan) -> None:
    deadline = time.monotonic() + NODE_READY_SECONDS
    template = "jsonpath={.items[*].status.conditions[?(@.type=='Ready')].status}"
    while addons.kubectl(plan, "get", "nodes", "-o", template) != "True":
        if time.monotonic() > deadline:
            log = Supervisor(plan.state).log("kubelet")
            raise ClusterError(f"node: not Ready in {NODE_READY_SECONDS:.0f} s; see {log}")
        time.sleep(0.3)
