"""Brings built images into a cluster."""

import os
import subprocess
from pathlib import Path

from support.cluster import kind, native, store
from support.cluster.commands import capture
from support.cluster.errors import ClusterError
from support.cluster.node_components import socket_path
from support.cluster.paths import folders
from support.cluster.progress import timed

from .builder import image_name
from .layout import Layout, write_archive
from .roles import Image
from .sharing import CONTENT, share


def load_native(layout: Layout, image: Image) -> None:
    """Import an image into the native cluster, only what its containerd lacks."""
    where = folders(os.environ)
    plan = native.plan_of(where)
    if image.reference not in store.images(plan):
        present = set(store.ctr(plan, "content", "ls", "-q").split())
        with timed(f"loading {image.reference}"):
            _stream(Path(socket_path(plan)), layout, image, present)
    share(layout.blobs(image_name(image)), layout.folder, where.image_store / CONTENT)


def load_kind(image: Image) -> None:
    """Load an image of the Docker engine into the kind cluster."""
    capture(["kind", "load", "docker-image", image.reference, "--name", kind.NAME])


def _stream(socket: Path, layout: Layout, image: Image, present: set[str]) -> None:
    command = ["/usr/bin/ctr", "-a", str(socket), "-n", "k8s.io", "images", "import", "-"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as child:
        assert child.stdin is not None
        assert child.stderr is not None
        try:
            write_archive(child.stdin, layout, image_name(image), image.reference, present)
            child.stdin.close()
        except BrokenPipeError:
            pass  # its own words below say why it stopped reading
        words = child.stderr.read().decode(errors="replace")
    if child.returncode != 0:
        raise ClusterError(
            f"load: containerd refused {image.reference}, got exit code "
            f"{child.returncode}: {words.strip()}"
        )
