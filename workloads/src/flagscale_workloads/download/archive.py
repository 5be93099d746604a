"""Unpacking an archive: plain files below one folder, safe ones only, within a size."""

import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from flagscale_workloads.download.errors import DownloadError
from flagscale_workloads.download.policy import MAX_FILES, is_safe
from flagscale_workloads.download.remote import BLOCK
from flagscale_workloads.download.transfer import too_large, writing


def unpack(archive: Path, folder: Path, *, where: str, max_bytes: int) -> list[str]:
    """The names of all files in it; a folder that holds all of them is left out.

    Raises:
        DownloadError: damaged, too large, or with links and devices in it.
    """
    try:
        with tarfile.open(archive, "r:*") as tar, writing(where):
            members = list(_files(tar, where=where, max_bytes=max_bytes))
            root = _common_root([member.name for member in members])
            for member in members:
                name = member.name.removeprefix(root)
                if is_safe(name):
                    _write(tar, member, folder / name)
    except (tarfile.TarError, EOFError) as error:
        msg = f"{where}: is no intact archive ({error}); pack it anew"
        raise DownloadError("ModelUnusable", msg) from error
    return [member.name.removeprefix(root) for member in members]


def _files(tar: tarfile.TarFile, *, where: str, max_bytes: int) -> Iterator[tarfile.TarInfo]:
    total = 0
    for number, member in enumerate(tar):
        if member.isdir():
            continue
        if not member.isreg():
            msg = f"{where}: holds a link or device, got {member.name!r:.80}; pack plain files"
            raise DownloadError("ModelUnusable", msg)
        total += member.size
        if total > max_bytes or number > MAX_FILES:
            raise too_large(where, total, max_bytes)
        member.name = member.name.removeprefix("./")
        yield member


def _common_root(names: list[str]) -> str:
    roots = {PurePosixPath(name).parts[0] for name in names if "/" in name}
    alone = len(roots) == 1 and all("/" in name for name in names)
    return f"{roots.pop()}/" if alone else ""


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    content = tar.extractfile(member)
    target.parent.mkdir(parents=True, exist_ok=True)
    if content is not None:
        with content, target.open("wb") as out:
            shutil.copyfileobj(content, out, BLOCK)
