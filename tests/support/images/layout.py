"""An OCI image layout on disk: all images share their layers, each stored once."""

import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

REF_NAME = "org.opencontainers.image.ref.name"
CONTAINERD_NAME = "io.containerd.image.name"


@dataclass(frozen=True)
class Layout:
    """The folder of one layout."""

    folder: Path

    def names(self) -> set[str]:
        """Names of all images in it."""
        return {entry["annotations"][REF_NAME] for entry in self._entries()}

    def descriptor(self, name: str) -> dict[str, Any]:
        """The manifest's descriptor of an image; KeyError when there is none."""
        for entry in self._entries():
            if entry["annotations"][REF_NAME] == name:
                return entry
        raise KeyError(name)

    def blobs(self, name: str) -> list[str]:
        """Digests of everything an image consists of, its manifest first."""
        digest = str(self.descriptor(name)["digest"])
        manifest = json.loads(self.path(digest).read_bytes())
        layers = [str(layer["digest"]) for layer in manifest["layers"]]
        return list(dict.fromkeys([digest, str(manifest["config"]["digest"]), *layers]))

    def path(self, digest: str) -> Path:
        """The file of a blob."""
        return self.folder / "blobs" / digest.replace(":", "/")

    def remove(self, names: set[str]) -> None:
        """Forget images, and delete the blobs that no other image needs."""
        kept = [e for e in self._entries() if e["annotations"][REF_NAME] not in names]
        gone = {digest for name in names & self.names() for digest in self.blobs(name)}
        (self.folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": kept}))
        needed = {digest for name in self.names() for digest in self.blobs(name)}
        for digest in gone - needed:
            self.path(digest).unlink(missing_ok=True)

    def _entries(self) -> list[dict[str, Any]]:
        index = self.folder / "index.json"
        if not index.exists():
            return []
        entries: list[dict[str, Any]] = json.loads(index.read_text())["manifests"]
        return [entry for entry in entries if REF_NAME in entry.get("annotations", {})]


def missing(blobs: Iterable[str], present: set[str]) -> list[str]:
    """The blobs that a store still lacks, in order (pure)."""
    return [digest for digest in blobs if digest not in present]


def single_index(descriptor: dict[str, Any], reference: str) -> bytes:
    """The index of a layout that holds one image under the given reference (pure)."""
    entry = {**descriptor, "annotations": {CONTAINERD_NAME: reference}}
    return json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()


def write_archive(
    out: IO[bytes], layout: Layout, name: str, reference: str, present: set[str]
) -> int:
    """Write an image as an OCI archive without the blobs that the reader has; bytes written.

    containerd completes such an archive from its own store, so a changed code layer travels
    alone and the layer with torch does not.
    """
    wanted = missing(layout.blobs(name), present)
    size = 0
    with tarfile.open(fileobj=out, mode="w|") as tar:
        for member, content in _index_members(layout, name, reference):
            _add(tar, member, io.BytesIO(content), len(content))
        for digest in wanted:
            path = layout.path(digest)
            size += path.stat().st_size
            with path.open("rb") as blob:
                _add(tar, f"blobs/{digest.replace(':', '/')}", blob, path.stat().st_size)
    return size


def _index_members(layout: Layout, name: str, reference: str) -> Iterator[tuple[str, bytes]]:
    yield "oci-layout", b'{"imageLayoutVersion": "1.0.0"}'
    yield "index.json", single_index(layout.descriptor(name), reference)


def _add(tar: tarfile.TarFile, name: str, content: IO[bytes], size: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = size
    tar.addfile(entry, content)
