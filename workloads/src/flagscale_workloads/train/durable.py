"""Folders and files that appear whole or not at all, whenever the process dies."""

import contextlib
import ctypes
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

MANIFEST: Final = "manifest.json"
LEFTOVER: Final = ".leftover-"
_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2
_BLOCK: Final = 1 << 20


def sync(path: Path) -> None:
    """Force a file or folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Replace a file atomically."""
    beside = path.with_name(f"{LEFTOVER}{path.name}-{os.getpid()}")
    beside.write_text(text)
    sync(beside)
    beside.replace(path)
    sync(path.parent)


def sha256(path: Path) -> str:
    """Digest of a file, as hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def remove_leftovers(folder: Path) -> None:
    """Delete what a process that died left half-written in a folder."""
    for path in folder.glob(f"{LEFTOVER}*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def publish(
    target: Path,
    fill: Callable[[Path], None],
    *,
    about: dict[str, Any],
    before: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Make a folder from what `fill` writes; `before` may still stop it. Returns the manifest."""
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f"{LEFTOVER}{target.name}-{os.getpid()}")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    fill(beside)
    files = _seal(beside)
    manifest = {**about, "files": files, "digest": digest_of(files)}
    write_text(beside / MANIFEST, json.dumps(manifest, indent=2, sort_keys=True))
    before()
    _put(beside, target)
    sync(target.parent)
    return manifest


def digest_of(files: Mapping[str, Mapping[str, Any]]) -> str:
    """SHA-256 over the sorted (name, sha256) pairs of a manifest's files."""
    pairs = [[name, files[name]["sha256"]] for name in sorted(files)]
    return f"sha256:{hashlib.sha256(json.dumps(pairs).encode()).hexdigest()}"


def _seal(folder: Path) -> dict[str, dict[str, Any]]:
    """Sync the files of a folder; their sizes and digests."""
    files: dict[str, dict[str, Any]] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        sync(path)
        name = path.relative_to(folder).as_posix()
        files[name] = {"size": path.stat().st_size, "sha256": sha256(path)}
    return files


def _put(beside: Path, target: Path) -> None:
    """Rename into place; an older folder there is swapped out in the same instant."""
    if not target.exists():
        beside.rename(target)
        return
    if not _exchange(beside, target):
        old = target.with_name(f"{LEFTOVER}old-{target.name}-{os.getpid()}")
        target.rename(old)
        beside.rename(target)
        beside = old
    shutil.rmtree(beside, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two names atomically; False where the kernel or the filesystem cannot."""
    with contextlib.suppress(OSError, AttributeError):
        call = ctypes.CDLL(None, use_errno=True).renameat2
        names = (_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other))
        return bool(call(*names, _RENAME_EXCHANGE) == 0)
    return False


def damage(folder: Path) -> str | None:
    """What is wrong with a published folder, or None when each file is as it was written."""
    try:
        files = read_manifest(folder)["files"]
        for name, entry in files.items():
            path = folder / name
            if path.stat().st_size != entry["size"]:
                return f"{name} has {path.stat().st_size} bytes instead of {entry['size']}"
            if sha256(path) != entry["sha256"]:
                return f"{name} has another SHA-256 than its manifest"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a published folder."""
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
    return manifest
