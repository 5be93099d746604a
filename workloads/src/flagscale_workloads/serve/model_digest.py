"""Whether a folder holds the very model that was asked for, by the manifest beside its files."""

import json
from pathlib import Path
from typing import Final

MANIFEST: Final = "manifest.json"
"""What training writes with the model: digest over all files, size and SHA-256 of each."""


class ModelDigestError(Exception):
    """The folder holds another model, or a damaged one."""


def check_digest(model: Path, wanted: str) -> None:
    """Raise ModelDigestError unless the manifest tells this digest and its files have their sizes.

    `model` is a folder, or a file in it. Contents are not read: that takes as long as loading.
    """
    folder = model if model.is_dir() else model.parent
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        found, files = manifest["digest"], manifest["files"]
        sizes = {name: int(entry["size"]) for name, entry in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        told = f"{type(error).__name__}: {error}"
        raise _refusal(f"{folder} tells none", told, "train the model again") from error
    if found != wanted:
        remedy = "another run has written there since; serve that run's model, or train again"
        raise _refusal(f"{folder} holds another model than {wanted}", found, remedy)
    for name, size in sizes.items():
        has = _size(folder / name)
        if has != size:
            where = f"{folder / name} is not as it was written"
            raise _refusal(where, f"{has} bytes instead of {size}", "train the model again")


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _refusal(what: str, got: str, remedy: str) -> ModelDigestError:
    return ModelDigestError(f"model.digest: {what}, got {got}; {remedy}")
