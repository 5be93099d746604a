"""The base image where no registry is at hand: Debian by debootstrap."""

import shutil
import tempfile
from pathlib import Path

from support.cluster.commands import run_logged

from .roles import Image, content_key, folder_parts

SUITE = "trixie"


def base_image(root: Path) -> Image:
    """The base image's name: changes with its recipe, not with Debian's updates."""
    parts = [*folder_parts(root, "images/base"), ("suite", SUITE.encode())]
    return Image("base", content_key(parts))


def root_archive(root: Path, cache: Path) -> Path:
    """The base's file system as a tar in the cache, made if it is missing."""
    target = cache / "images" / f"base-{base_image(root).key}.tar"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    log = cache / "logs" / "image-base.log"
    packages = ",".join((root / "images" / "base" / "packages.txt").read_text().split())
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".base-") as folder:
        tree = Path(folder) / "tree"
        bootstrap = ["debootstrap", "--variant=minbase", f"--include={packages}", SUITE]
        run_logged([*bootstrap, str(tree)], log, "debootstrap")
        for waste in ("var/lib/apt/lists", "var/cache/apt", "var/log", "dev"):
            _empty(tree / waste)
        partial = Path(folder) / "base.tar"
        run_logged(["tar", "-C", str(tree), "-cf", str(partial), "."], log, "base archive")
        partial.rename(target)
    return target


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
