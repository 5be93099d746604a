"""Builds images with buildah into the cached layout, or with Docker into its engine."""

import os
import shutil
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from support.cluster.commands import capture, run_logged
from support.cluster.progress import timed

from .base import base_image, root_archive
from .context import Sources, read_sources, write_context
from .layout import Layout
from .roles import PYTHON_IMAGE, Image, Role

CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


@dataclass(frozen=True)
class Buildah:
    """Builds without an engine, and exports; needs root."""

    root: Path
    cache: Path

    @property
    def layout(self) -> Layout:
        """Where the finished images lie."""
        return Layout(self.cache / "images" / "layout")

    def build(self, role: Role, exported: Collection[str] = ()) -> Image:
        """Build the image of a role unless it is among the exported ones."""
        sources = read_sources(self.root, role, base_image(self.root).key)
        image = sources.image
        if image_name(image) not in exported:
            self._ensure_base()
            with timed(f"building {image.reference}"):
                self._build_role(sources)
        return image

    def export(self, image: Image) -> None:
        """Bring a built image into the layout unless it is there."""
        if image_name(image) not in self.layout.names():
            with timed(f"exporting {image.reference}"):
                self._export(image)

    def _build_role(self, sources: Sources) -> None:
        with tempfile.TemporaryDirectory() as folder:
            write_context(sources, Path(folder), self._log)
            base = f"BASE_IMAGE={base_image(self.root).reference}"
            flags = ["--build-arg", base, "--tag", sources.image.reference]
            self._bud(*flags, folder)

    def _ensure_base(self) -> None:
        image = base_image(self.root)
        known = capture(["buildah", "images", "--format", "{{.Name}}:{{.Tag}}"]).split()
        if image.reference in known:
            return
        with timed(f"building {image.reference}"), tempfile.TemporaryDirectory() as folder:
            shutil.copytree(self.root / "images" / "base", folder, dirs_exist_ok=True)
            shutil.copy(root_archive(self.root, self.cache), Path(folder) / "rootfs.tar")
            self._bud("--tag", image.reference, folder)

    def _export(self, image: Image) -> None:
        # Uncompressed, layers keep their digests: one that the layout has is not written again
        # (buildah's own push would compress the gigabytes of torch for each change of our code).
        self.layout.folder.mkdir(parents=True, exist_ok=True)
        source = f"containers-storage:{image.reference}"
        target = f"oci:{self.layout.folder}:{image_name(image)}"
        copy = ["skopeo", "copy", "--quiet", "--dest-oci-accept-uncompressed-layers"]
        run_logged([*copy, source, target], self._log, "skopeo copy")

    def _bud(self, *arguments: str) -> None:
        # RUN steps trust what this machine trusts.
        trust = ["--volume", f"{CA_BUNDLE}:{CA_BUNDLE}:ro"] if Path(CA_BUNDLE).exists() else []
        self._run("bud", "--layers", "--quiet", *trust, *arguments)

    def _run(self, verb: str, *arguments: str) -> None:
        env = {**os.environ, "BUILDAH_ISOLATION": "chroot"}
        run_logged(["buildah", verb, *arguments], self._log, f"buildah {verb}", env=env)

    @property
    def _log(self) -> Path:
        return self.cache / "logs" / "images.log"


@dataclass(frozen=True)
class Docker:
    """Builds with a Docker engine, on the official Python image."""

    root: Path
    cache: Path

    def build(self, role: Role) -> Image:
        """Build the image of a role unless the engine has it."""
        sources = read_sources(self.root, role, PYTHON_IMAGE)
        reference = sources.image.reference
        if capture(["docker", "images", "--quiet", reference]).strip():
            return sources.image
        log = self.cache / "logs" / "images.log"
        with timed(f"building {reference}"), tempfile.TemporaryDirectory() as folder:
            write_context(sources, Path(folder), log)
            base = f"BASE_IMAGE={PYTHON_IMAGE}"
            build = ["docker", "build", "--build-arg", base, "--tag", reference, folder]
            run_logged(build, log, "docker build")
        return sources.image


def image_name(image: Image) -> str:
    """The image's name inside the layout."""
    return f"{image.role}-{image.key}"
