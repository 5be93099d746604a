"""Chooses the kind of cluster for a machine (pure)."""

from .errors import ClusterError
from .machine import Machine

BACKENDS = ("native", "kind", "current")


def choose(machine: Machine, wish: str | None) -> str:
    """The backend to use: the wish if there is one, else kind with Docker, else native.

    Raises:
        ClusterError: the wish is unknown, or the machine can't do it, or neither.
    """
    if wish and wish not in BACKENDS:
        raise ClusterError(f"CLUSTER: unknown, got {wish!r}; choose one of {', '.join(BACKENDS)}")
    if wish == "kind":
        require_kind(machine)
    if wish:
        return wish
    if machine.docker and machine.kind:
        return "kind"
    require_native(machine)
    return "native"


def require_kind(machine: Machine) -> None:
    """Raise one sentence about what kind lacks here."""
    lacking = [
        name
        for name, there in (("Docker engine", machine.docker), ("kind program", machine.kind))
        if not there
    ]
    if lacking:
        raise ClusterError(
            f"CLUSTER: kind can't run here, got no {' and no '.join(lacking)}; "
            f"install it or set CLUSTER to native or current"
        )


def require_native(machine: Machine) -> None:
    """Raise one sentence about what a native cluster lacks here."""
    lacking = [
        name
        for name, there in (("root rights", machine.root), ("Debian with apt-get", machine.debian))
        if not there
    ]
    if lacking:
        raise ClusterError(
            f"this machine can run neither kind (a Docker engine and the kind program) "
            f"nor the native cluster, got no {' and no '.join(lacking)}; "
            f"provide one of them or set CLUSTER=current to use your own cluster"
        )
