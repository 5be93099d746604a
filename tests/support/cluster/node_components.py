"""The command lines and configuration of the node: containerd, kubelet, kube-proxy, CoreDNS."""

import json
from typing import Any

from .processes import Component
from .server_components import NODE_NAME, POD_CIDR, ServerPlan

NODE_POD_SUBNET = "10.244.0.0/24"
DNS_IP = "10.244.0.1"
"""The bridge's own address: CoreDNS listens there, so pods and this machine both reach it."""
BRIDGE = "cni0"
NETWORK = "flagscale"
PAUSE_IMAGE = "localhost/flagscale-pause:1"
# The kubelet tells that it lives every 4 s; the controller gives up after NODE_GRACE_SECONDS.
STATUS_SECONDS = 4


def socket_path(plan: ServerPlan) -> str:
    """containerd's socket."""
    return str(plan.state / "containerd" / "containerd.sock")


def containerd_config(plan: ServerPlan) -> str:
    """containerd's config.toml.

    restrict_oom_score_adj: without CAP_SYS_RESOURCE no pod sandbox starts otherwise.
    """
    return f"""version = 2
root = "{plan.cache / "containerd"}"
state = "{plan.state / "containerd" / "run"}"
[grpc]
  address = "{socket_path(plan)}"
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  sandbox_image = "{PAUSE_IMAGE}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{plan.state / "cni"}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
"""


def cni_config() -> str:
    """The bridge network of the pods."""
    ipam = {
        "type": "host-local",
        "ranges": [[{"subnet": NODE_POD_SUBNET, "gateway": DNS_IP}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {
        "type": "bridge",
        "bridge": BRIDGE,
        "isGateway": True,
        "ipMasq": True,
        "hairpinMode": True,
        "ipam": ipam,
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return json.dumps({"cniVersion": "1.0.0", "name": NETWORK, "plugins": [bridge, ports]})


def kubelet_config(plan: ServerPlan) -> dict[str, Any]:
    """The kubelet's configuration file; it runs on cgroup v1 and v2, without systemd."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": False,
        "failSwapOn": False,
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": True,
        "enforceNodeAllocatable": [],
        "containerRuntimeEndpoint": f"unix://{socket_path(plan)}",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(plan.pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "clusterDNS": [DNS_IP],
        "clusterDomain": "cluster.local",
        "nodeStatusUpdateFrequency": f"{STATUS_SECONDS}s",
        "nodeLeaseDurationSeconds": 4 * STATUS_SECONDS,
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "imagefs.available": "1%",
        },
        # Local images cannot be pulled again: the kubelet must not collect them.
        "imageGCHighThresholdPercent": 100,
        "maxPods": 200,
        "serializeImagePulls": False,
        "port": plan.ports["kubelet"],
        "healthzPort": plan.ports["kubelet-health"],
        "tlsCertFile": str(plan.pki / "kubelet.crt"),
        "tlsPrivateKeyFile": str(plan.pki / "kubelet.key"),
        "resolvConf": "/etc/resolv.conf",
    }


def corefile(plan: ServerPlan) -> str:
    """CoreDNS: service names from the cluster, the rest from this machine's resolver."""
    return f""".:53 {{
    bind {DNS_IP}
    errors
    health 127.0.0.1:{plan.ports["coredns-health"]}
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {plan.kubeconfig("admin")}
        ttl 5
    }}
    forward . /etc/resolv.conf
    cache 5
}}
"""


def containerd(plan: ServerPlan) -> Component:
    """The container runtime; its image store lies in the cache."""
    config = plan.state / "containerd.toml"
    argv = ("/usr/bin/containerd", "-c", str(config))
    return Component("containerd", argv, f"unix://{socket_path(plan)}", files=(config,))


def kubelet(plan: ServerPlan) -> Component:
    """The node's agent."""
    argv = (
        plan.program("kubelet"),
        f"--config={plan.state / 'kubelet.json'}",
        f"--kubeconfig={plan.kubeconfig('kubelet')}",
        f"--hostname-override={NODE_NAME}",
        f"--node-ip={plan.address}",
        f"--root-dir={plan.state / 'kubelet'}",
    )
    health = f"http://127.0.0.1:{plan.ports['kubelet-health']}/healthz"
    files = (plan.state / "kubelet.json", plan.kubeconfig("kubelet"))
    return Component("kubelet", argv, health, files=files)


def kube_proxy(plan: ServerPlan) -> Component:
    """The service addresses, by nftables."""
    argv = (
        plan.program("kube-proxy"),
        f"--kubeconfig={plan.kubeconfig('proxy')}",
        "--proxy-mode=nftables",
        f"--cluster-cidr={POD_CIDR}",
        f"--hostname-override={NODE_NAME}",
        "--conntrack-max-per-core=0",
        f"--healthz-bind-address=127.0.0.1:{plan.ports['proxy-health']}",
        f"--metrics-bind-address=127.0.0.1:{plan.ports['proxy-metrics']}",
    )
    health = f"http://127.0.0.1:{plan.ports['proxy-health']}/livez"
    return Component("kube-proxy", argv, health, files=(plan.kubeconfig("proxy"),))


def coredns(plan: ServerPlan) -> Component:
    """The cluster's name server."""
    argv = (plan.program("coredns"), "-conf", str(plan.state / "Corefile"))
    health = f"http://127.0.0.1:{plan.ports['coredns-health']}/health"
    files = (plan.state / "Corefile", plan.kubeconfig("admin"))
    return Component("coredns", argv, health, files=files)
