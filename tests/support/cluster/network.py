"""The pod network of this machine: made by `up`, removed without a trace by `down`."""

import json
import subprocess
from pathlib import Path

from .commands import capture
from .node_components import BRIDGE, DNS_IP, NETWORK

CNI_CACHE = Path("/var/lib/cni")
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


def make_bridge() -> None:
    """Make the pods' bridge with the DNS address before any pod exists, so CoreDNS can bind."""
    if not Path(f"/sys/class/net/{BRIDGE}").exists():
        capture(["ip", "link", "add", BRIDGE, "type", "bridge"])
    capture(["ip", "address", "replace", f"{DNS_IP}/24", "dev", BRIDGE])
    capture(["ip", "link", "set", BRIDGE, "up"])
    FORWARDING.write_text("1")


def remove_all() -> None:
    """Remove the bridge, leftover pod network namespaces and kube-proxy's tables."""
    for result in (CNI_CACHE / "results").glob(f"{NETWORK}-*"):
        for name in namespace_names(result.read_text()):
            _try(["ip", "netns", "delete", name])
        result.unlink()
    for file in (CNI_CACHE / "networks" / NETWORK).glob("*"):
        file.unlink()
    _try(["ip", "link", "delete", BRIDGE])
    for family in ("ip", "ip6"):
        _try(["nft", "delete", "table", family, "kube-proxy"])


def namespace_names(result: str) -> list[str]:
    """The network namespace named in one result file of a CNI plugin (pure)."""
    path = json.loads(result).get("netns", "")
    return [Path(path).name] if path else []


def _try(argv: list[str]) -> None:
    # What is not there need not be removed.
    subprocess.run(argv, capture_output=True)
