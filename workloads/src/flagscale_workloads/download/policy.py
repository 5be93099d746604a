"""Which files of a source are taken: those that engines load as data, never as code. Pure."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final

from flagscale_workloads.download.errors import DownloadError
from flagscale_workloads.download.remote import RemoteFile

WEIGHTS: Final = (".safetensors", ".gguf")
SAFE: Final = (*WEIGHTS, ".json", ".txt", ".jinja", ".model", ".tiktoken")
ARCHIVES: Final = (".tar", ".tar.gz", ".tgz")
MAX_FILES: Final = 10_000
_SHARD: Final = re.compile(r"^(?P<stem>.+)-00001-of-(?P<count>\d{5})\.gguf$")


def is_archive(name: str) -> bool:
    """Whether a file is to be unpacked."""
    return name.endswith(ARCHIVES)


def is_safe(name: str) -> bool:
    """Whether a file is data that engines read, at a path that stays below the model's folder."""
    path = PurePosixPath(name)
    plain = bool(name) and len(name) <= 512 and not re.search(r"[\\\x00-\x1f]", name)
    return (
        plain
        and not path.is_absolute()
        and not any(part.startswith(".") for part in path.parts)
        and path.name.lower().endswith(SAFE)
    )


def choose(files: Sequence[RemoteFile], wanted: str | None, *, where: str) -> list[RemoteFile]:
    """The files to download; `wanted` is the one GGUF file that is served.

    Raises:
        DownloadError: there are no weights, or only such that would be run as code.
    """
    if len(files) > MAX_FILES:
        msg = f"{where}: too many files, got {len(files)}; at most {MAX_FILES} are taken"
        raise DownloadError("ModelTooLarge", msg)
    safe = [file for file in files if is_safe(file.name)]
    ggufs = {file.name for file in safe if file.name.endswith(".gguf")}
    if wanted is None:
        chosen = [file for file in safe if file.name not in ggufs]
    else:
        shards = _shards(wanted)
        if missing := [name for name in shards if name not in ggufs]:
            raise DownloadError("ModelNotFound", _no_file(where, missing[0], sorted(ggufs)))
        chosen = [f for f in safe if f.name in shards or not f.name.endswith(WEIGHTS)]
    _check_weights([file.name for file in chosen], [file.name for file in files], where=where)
    return chosen


def _check_weights(names: Sequence[str], all_names: Sequence[str], *, where: str) -> None:
    """Raise DownloadError where no file has weights that can be loaded safely."""
    if any(name.endswith(WEIGHTS) for name in names):
        return
    found = ", ".join(sorted(all_names)[:5]) or "no file"
    if any(name.endswith(".gguf") for name in all_names):
        remedy = "serve one of its GGUF files with engine llamacpp and spec.model.file"
    else:
        remedy = "convert the weights to safetensors: pickled ones (.bin, .pt) can run code"
    raise DownloadError("ModelUnusable", f"{where}: has no safetensors, got {found}; {remedy}")


def _shards(wanted: str) -> list[str]:
    """A GGUF file, or all parts of the one that its name begins."""
    first = _SHARD.match(wanted)
    if not first:
        return [wanted]
    count = int(first["count"])
    return [f"{first['stem']}-{i:05d}-of-{count:05d}.gguf" for i in range(1, count + 1)]


def _no_file(where: str, wanted: str, ggufs: Sequence[str]) -> str:
    has = f"it has {', '.join(ggufs[:5])}" if ggufs else "it has no GGUF file"
    return f"spec.model.file: is not at {where}, got {wanted}; {has}"
