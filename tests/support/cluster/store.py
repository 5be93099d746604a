"""The images of the native cluster's containerd."""

import tempfile
from pathlib import Path

from .archive import image_archive, write_image
from .commands import capture, run_logged
from .node_components import PAUSE_IMAGE, socket_path
from .operator_components import BUSYBOX_IMAGE
from .server_components import ServerPlan


def ctr(plan: ServerPlan, *arguments: str) -> str:
    """Run containerd's client in the kubelet's namespace and return its output."""
    return capture(["/usr/bin/ctr", "-a", socket_path(plan), "-n", "k8s.io", *arguments])


def images(plan: ServerPlan) -> set[str]:
    """References of all images the cluster has."""
    return set(ctr(plan, "images", "list", "-q").split())


def digests(plan: ServerPlan) -> dict[str, str]:
    """Digest of what each reference names."""
    rows = (line.split() for line in ctr(plan, "images", "list").splitlines()[1:])
    return {row[0]: row[2] for row in rows if len(row) > 2}


def load(plan: ServerPlan, archive: Path) -> None:
    """Import a docker or OCI archive (tar)."""
    ctr(plan, "images", "import", str(archive))


def ensure_builtin(plan: ServerPlan) -> None:
    """Import the two images the cluster itself needs: pause and busybox."""
    known = images(plan)
    if PAUSE_IMAGE not in known:
        pause = Path(plan.program("pause")).read_bytes()
        content = image_archive(PAUSE_IMAGE, {"pause": pause}, entrypoint=("/pause",))
        load(plan, write_image(plan.state / "pause.tar", content))
    if BUSYBOX_IMAGE not in known:
        content = busybox_image(_busybox(plan.cache))
        load(plan, write_image(plan.state / "busybox.tar", content))


def busybox_image(program: Path) -> bytes:
    """An image of nothing but busybox, with a link per applet."""
    applets = capture([str(program), "--list"]).split()
    links = {f"bin/{name}": "busybox" for name in applets if name != "busybox"}
    return image_archive(BUSYBOX_IMAGE, {"bin/busybox": program.read_bytes()}, links)


def _busybox(cache: Path) -> Path:
    """The static busybox of Debian, unpacked into the cache (nothing is installed)."""
    target = cache / "busybox"
    program = target / "bin" / "busybox"
    if not program.exists():
        log = cache / "logs" / "busybox.log"
        with tempfile.TemporaryDirectory() as folder:
            # apt's own user must be able to write here.
            Path(folder).chmod(0o777)
            download = ["apt-get", "download", "-q", "busybox-static"]
            run_logged(download, log, "busybox", cwd=Path(folder))
            package = next(Path(folder).glob("busybox-static_*.deb"))
            run_logged(["dpkg-deb", "-x", str(package), str(target)], log, "busybox")
    return program
