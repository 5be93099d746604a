"""The command lines of the control plane (pure)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .pki import Identity
from .processes import Component
from .recipes import program_path

SERVICE_CIDR = "10.96.0.0/16"
SERVICE_IP = "10.96.0.1"
POD_CIDR = "10.244.0.0/16"
NODE_NAME = "flagscale-node"
# A stopped kubelet shows as NotReady in 20 s (default 50 s) and its pods leave 30 s later
# (default 300 s): tests of a lost node need not wait five minutes.
NODE_GRACE_SECONDS = 20
EVICTION_SECONDS = 30


@dataclass(frozen=True)
class ServerPlan:
    """Where a control plane lives and which ports it has."""

    cache: Path
    state: Path
    ports: Mapping[str, int]
    address: str
    """The address that pods reach the API server under."""
    clients: tuple[str, ...] = ("admin", "controller-manager")

    @property
    def pki(self) -> Path:
        """Folder of the certificates."""
        return self.state / "pki"

    @property
    def server(self) -> str:
        """The API server's address for clients on this machine."""
        return f"https://127.0.0.1:{self.ports['apiserver']}"

    def kubeconfig(self, identity: str) -> Path:
        """The kubeconfig file of one client."""
        return self.state / f"{identity}.kubeconfig"

    def program(self, name: str) -> str:
        """Path of a built program."""
        return str(program_path(self.cache, name))


def identities(plan: ServerPlan) -> tuple[Identity, ...]:
    """Every certificate of the cluster, those of the node too."""
    service = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost")
    return (
        Identity(
            "apiserver",
            "kube-apiserver",
            names=(*service, "127.0.0.1", SERVICE_IP, plan.address),
        ),
        Identity("admin", "admin", "system:masters"),
        Identity("controller-manager", "system:kube-controller-manager"),
        Identity("scheduler", "system:kube-scheduler"),
        Identity("proxy", "system:kube-proxy"),
        Identity(
            "kubelet",
            f"system:node:{NODE_NAME}",
            "system:nodes",
            names=(NODE_NAME, plan.address),
        ),
    )


def etcd(plan: ServerPlan) -> Component:
    """The store; without fsync, since a machine crash may cost a test cluster."""
    client = f"http://127.0.0.1:{plan.ports['etcd']}"
    peer = f"http://127.0.0.1:{plan.ports['etcd-peer']}"
    argv = (
        plan.program("etcd"),
        f"--data-dir={plan.state / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
    )
    return Component("etcd", argv, f"{client}/health")


def apiserver(plan: ServerPlan) -> Component:
    """The API server; ready means that its default roles exist too."""
    pki = plan.pki
    argv = (
        plan.program("kube-apiserver"),
        f"--etcd-servers=http://127.0.0.1:{plan.ports['etcd']}",
        "--bind-address=0.0.0.0",
        f"--advertise-address={plan.address}",
        f"--secure-port={plan.ports['apiserver']}",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--service-account-key-file={pki / 'sa.pub'}",
        f"--service-account-signing-key-file={pki / 'sa.key'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-cluster-ip-range={SERVICE_CIDR}",
        "--kubelet-preferred-address-types=InternalIP",
        # The aggregation layer: how servers of further APIs know that this one asks.
        f"--requestheader-client-ca-file={pki / 'ca.crt'}",
        "--requestheader-allowed-names=kube-apiserver",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={pki / 'apiserver.crt'}",
        f"--proxy-client-key-file={pki / 'apiserver.key'}",
        f"--kubelet-client-certificate={pki / 'admin.crt'}",
        f"--kubelet-client-key={pki / 'admin.key'}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged",
        f"--default-not-ready-toleration-seconds={EVICTION_SECONDS}",
        f"--default-unreachable-toleration-seconds={EVICTION_SECONDS}",
    )
    files = (pki / "apiserver.crt", pki / "ca.crt", pki / "sa.pub")
    return Component("kube-apiserver", argv, f"{plan.server}/readyz", files=files)


def controller_manager(plan: ServerPlan) -> Component:
    """The controllers: garbage collection, namespaces, service accounts, node lifecycle."""
    argv = (
        plan.program("kube-controller-manager"),
        f"--kubeconfig={plan.kubeconfig('controller-manager')}",
        f"--service-account-private-key-file={plan.pki / 'sa.key'}",
        f"--root-ca-file={plan.pki / 'ca.crt'}",
        f"--cluster-cidr={POD_CIDR}",
        "--allocate-node-cidrs=true",
        "--use-service-account-credentials",
        "--leader-elect=false",
        f"--node-monitor-grace-period={NODE_GRACE_SECONDS}s",
        "--node-monitor-period=2s",
        "--bind-address=127.0.0.1",
        f"--secure-port={plan.ports['controller-manager']}",
    )
    health = f"https://127.0.0.1:{plan.ports['controller-manager']}/healthz"
    files = (plan.kubeconfig("controller-manager"), plan.pki / "sa.key")
    return Component("kube-controller-manager", argv, health, files=files)


def scheduler(plan: ServerPlan) -> Component:
    """The scheduler."""
    argv = (
        plan.program("kube-scheduler"),
        f"--kubeconfig={plan.kubeconfig('scheduler')}",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        f"--secure-port={plan.ports['scheduler']}",
    )
    health = f"https://127.0.0.1:{plan.ports['scheduler']}/healthz"
    return Component("kube-scheduler", argv, health, files=(plan.kubeconfig("scheduler"),))
