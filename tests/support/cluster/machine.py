"""What this machine can do, and what it lacks for a native cluster."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .commands import capture, run_logged
from .errors import ClusterError
from .progress import say

# Program or file that proves the Debian package is there.
DEBIAN_PACKAGES = {
    "/usr/bin/containerd": "containerd",
    "/usr/sbin/runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "/usr/sbin/iptables": "iptables",
    "/usr/sbin/nft": "nftables",
    "/usr/sbin/conntrack": "conntrack",
    "/usr/bin/buildah": "buildah",
    "/usr/bin/skopeo": "skopeo",
    "/usr/sbin/debootstrap": "debootstrap",
    "/usr/bin/unshare": "util-linux",
    "/usr/sbin/ip": "iproute2",
}
POD_BRIDGES = ("cni", "docker", "br-", "veth")


@dataclass(frozen=True)
class Machine:
    """The facts that decide which cluster is possible."""

    root: bool
    debian: bool
    docker: bool
    """A Docker engine answers."""
    kind: bool
    """The kind program is on PATH."""


def this_machine() -> Machine:
    """Look at the machine this runs on."""
    return Machine(
        root=os.geteuid() == 0,
        debian=Path("/etc/debian_version").exists() and shutil.which("apt-get") is not None,
        docker=_docker_answers(),
        kind=shutil.which("kind") is not None,
    )


def missing_packages() -> list[str]:
    """Debian packages of the native cluster that are not installed."""
    return sorted({name for file, name in DEBIAN_PACKAGES.items() if not Path(file).exists()})


def install_packages(names: list[str], log: Path) -> None:
    """Install Debian packages, saying so."""
    if not names:
        return
    say(f"installing Debian packages: {' '.join(names)}")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run_logged(["apt-get", "update", "-q"], log, "apt-get update", env=env)
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *names]
    run_logged(install, log, "apt-get install", env=env)


def own_address() -> str:
    """The address of this machine that pods can reach."""
    found = first_address(capture(["ip", "-json", "-4", "address", "show", "scope", "global"]))
    if found is None:
        raise ClusterError(
            "network: this machine has no IPv4 address but loopback's; give an interface one"
        )
    return found


def first_address(interfaces: str) -> str | None:
    """The first address in the output of `ip -json address`, bridges of pods left out (pure)."""
    for interface in json.loads(interfaces):
        if interface.get("ifname", "").startswith(POD_BRIDGES):
            continue
        for address in interface.get("addr_info", []):
            return str(address["local"])
    return None


def _docker_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    try:
        done = subprocess.run(["docker", "info"], capture_output=True, timeout=10)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
