"""Takes the native cluster down: only what it started, and nothing of it left."""

import os
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from . import network
from .commands import run_logged
from .errors import ClusterError
from .locks import locked
from .native import components, plan_of
from .node_components import socket_path
from .paths import Folders, folders
from .processes import Supervisor
from .progress import say
from .server_components import ServerPlan

CGROUPS = Path("/sys/fs/cgroup")
GRACE_SECONDS = 2.0


def down(where: Folders | None = None) -> None:
    """Stop the pods, then every process; unmount and remove the state folder.

    Built programs and the image store stay, so the next `up` is quick.
    """
    where = where or folders(os.environ)
    with locked(where.lock, "starting or stopping the cluster"):
        if where.state.exists():
            _down(where)
        else:
            say("nothing to take down")


def _down(where: Folders) -> None:
    plan = plan_of(where)
    supervisor = Supervisor(where.state)
    order = [component.name for component in components(plan)]
    runtime = "containerd"
    for name in reversed([name for name in order if name != runtime]):
        if supervisor.stop(name, GRACE_SECONDS):
            say(f"stopped {name}")
    if supervisor.record(runtime) is not None:
        _stop_pods(plan)
        supervisor.stop(runtime)
        say(f"stopped {runtime}")
    network.remove_all()
    unmount_below(where.state)
    _remove_cgroups()
    shutil.rmtree(where.state)


def _stop_pods(plan: ServerPlan) -> None:
    program = plan.program("stop-pods")
    log = plan.cache / "logs" / "stop-pods.log"
    try:
        run_logged([program, socket_path(plan)], log, "stop-pods")
    except ClusterError as error:
        # A broken runtime must not keep the rest from being removed.
        say(str(error))


def mounts_below(folder: Path, mountinfo: str) -> list[str]:
    """Mount points under a folder, deepest first, out of /proc/self/mountinfo (pure)."""
    points = [line.split()[4].replace("\\040", " ") for line in mountinfo.splitlines()]
    return sorted((p for p in points if Path(p).is_relative_to(folder)), reverse=True)


def unmount_below(folder: Path) -> None:
    """Unmount everything under a folder."""
    for point in mounts_below(folder, Path("/proc/self/mountinfo").read_text()):
        subprocess.run(["umount", "--lazy", point], capture_output=True)


def _remove_cgroups() -> None:
    # The kubelet's groups: one tree on cgroup v2, one per controller on v1.
    for tree in (CGROUPS / "kubepods", *CGROUPS.glob("*/kubepods")):
        for group in sorted(tree.rglob("*"), reverse=True):
            if group.is_dir():
                _remove_group(group)
        _remove_group(tree)


def _remove_group(group: Path) -> None:
    # A group empties a moment after its last process ended.
    for _ in range(10):
        with suppress(FileNotFoundError):
            try:
                group.rmdir()
            except OSError:
                time.sleep(0.1)
                continue
        return
