"""Removes older versions of an image: those with torch weigh gigabytes in three stores."""

import os
from collections.abc import Iterable, Mapping

from support.cluster import native, store
from support.cluster.commands import capture
from support.cluster.paths import folders
from support.cluster.progress import say

from .layout import Layout
from .roles import Image


def older(names: Iterable[str], current: str, separator: str) -> set[str]:
    """The names of the same image as `current` with another key (pure)."""
    family = current.rpartition(separator)[0]
    return {n for n in names if n.rpartition(separator)[0] == family and n != current}


def nameless(digests: Mapping[str, str]) -> set[str]:
    """The kubelet's own names (`sha256:...`) of contents that have no other name (pure).

    They keep the layers of a removed image on the disk. `digests`: content by name.
    """
    named = {digest for name, digest in digests.items() if not name.startswith("sha256:")}
    return {n for n, digest in digests.items() if n.startswith("sha256:") and digest not in named}


def prune_native(layout: Layout, image: Image) -> None:
    """Remove all other versions from containerd, buildah and the layout."""
    plan = native.plan_of(folders(os.environ))
    for reference in sorted(older(store.images(plan), image.reference, ":")):
        say(f"removing {reference}")
        store.ctr(plan, "images", "remove", reference)
    for reference in sorted(nameless(store.digests(plan))):
        store.ctr(plan, "images", "remove", reference)
    built = capture(["buildah", "images", "--format", "{{.Name}}:{{.Tag}}"]).split()
    for reference in sorted(older(built, image.reference, ":")):
        capture(["buildah", "rmi", "--force", reference])
    # Steps of builds that no image is made of any more.
    capture(["buildah", "rmi", "--prune", "--force"])
    layout.remove(older(layout.names(), f"{image.role}-{image.key}", "-"))
