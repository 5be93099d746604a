"""The user's files as pieces of text; every complaint names the file and the place in it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Final

from flagscale_api.v1alpha1.trainer import DataSpec
from flagscale_workloads.train.errors import TrainError

PATH: Final = "spec.trainer.data.path"
_PIECE: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Piece:
    """Some text; `ends` when a document ends with it."""

    text: str
    ends: bool


def find_files(data: DataSpec) -> list[Path]:
    """The files of a path: itself, all in a folder (hidden ones aside), or a glob's matches."""
    try:
        files = _files(Path(data.path))
        empty = not any(path.stat().st_size for path in files)
    except OSError as error:
        msg = f"{PATH}: cannot read {error.filename}: {error.strerror}; check the volume's rights"
        raise TrainError("InvalidData", msg) from error
    if not files:
        msg = f"{PATH}: no file matches, got {data.path}; name a file, folder or glob on a volume"
        raise TrainError("InvalidData", msg)
    if empty:
        msg = f"{PATH}: {len(files)} empty file(s), got {data.path}; put text there"
        raise TrainError("InvalidData", msg)
    return files


def _files(root: Path) -> list[Path]:
    if root.is_dir():
        found = [p for p in root.rglob("*") if not _hidden(p.relative_to(root))]
    else:
        found = [root] if root.exists() else [Path(p) for p in glob(str(root), recursive=True)]  # noqa: PTH207 - the pattern is absolute
    return sorted(path for path in found if path.is_file())


def _hidden(relative: Path) -> bool:
    # Mounted ConfigMaps hold each file twice: once below a `..data` link.
    return any(part.startswith(".") for part in relative.parts)


def read_pieces(files: list[Path], *, data: DataSpec) -> Iterator[Piece]:
    """All text, in order, in pieces of some 64 KiB that end at a line's end."""
    for path in files:
        try:
            yield from _records(path, data.text_field) if data.format == "jsonl" else _lines(path)
        except OSError as error:
            msg = f"{PATH}: cannot read {path}: {error.strerror}; check the volume and its rights"
            raise TrainError("InvalidData", msg) from error


def _lines(path: Path) -> Iterator[Piece]:
    """A text file: one document."""
    at = 0
    with path.open("rb") as file:
        while lines := file.readlines(_PIECE):
            block = b"".join(lines)
            yield Piece(_decode(block, path=path, at=at), ends=False)
            at += len(block)
    if at:
        yield Piece("", ends=True)


def _decode(block: bytes, *, path: Path, at: int) -> str:
    place, reason = block.find(b"\0"), "a NUL byte"
    if place < 0:
        try:
            return block.decode("utf-8-sig" if at == 0 else "utf-8")
        except UnicodeDecodeError as error:
            place, reason = error.start, "bytes that are not UTF-8"
    msg = f"{PATH}: {path} has {reason} at offset {at + place}; remove binary files, use UTF-8 text"
    raise TrainError("InvalidData", msg)


def _records(path: Path, field: str) -> Iterator[Piece]:
    """A JSONL file: a document per line; blank lines do not count."""
    at = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            text = _decode(line, path=path, at=at)
            at += len(line)
            if text.strip():
                yield Piece(_field(text, field, place=f"{path}:{number}"), ends=True)


def _field(line: str, field: str, *, place: str) -> str:
    try:
        record = json.loads(line)
    except ValueError as error:
        msg = f"{PATH}: {place} is not valid JSON ({error}); correct or remove the line"
        raise TrainError("InvalidData", msg) from error
    value = record.get(field) if isinstance(record, dict) else None
    if not isinstance(value, str):
        msg = (
            f"{PATH}: {place} has no text in field {field!r}; "
            "correct the line or spec.trainer.data.textField"
        )
        raise TrainError("InvalidData", msg)
    return value
