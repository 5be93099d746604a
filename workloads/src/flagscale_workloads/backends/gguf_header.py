"""The one fact of a GGUF header that is needed before an engine is started.

Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (version 3, little endian).
"""

import struct
from pathlib import Path
from typing import BinaryIO, Final

_KEY: Final = "general.file_type"
# Bytes of each scalar value type, by its number.
_SIZES: Final = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_UINT32, _STRING, _ARRAY = 4, 8, 9


def file_type(path: Path) -> int | None:
    """The number of the format that most tensors have; None when the header does not tell.

    Raises ValueError for a file that is no GGUF, OSError when it can't be read.
    """
    with path.open("rb") as file:
        magic, version, _tensors, pairs = struct.unpack("<4sIQQ", _read(file, 24))
        if magic != b"GGUF" or version not in (2, 3):
            msg = f"not a GGUF of version 2 or 3, got {magic!r} {version}"
            raise ValueError(msg)
        for _ in range(pairs):
            key = _string(file)
            kind = _number(file, "<I")
            if key == _KEY and kind == _UINT32:
                return _number(file, "<I")
            _skip(file, kind)
    return None


def _skip(file: BinaryIO, kind: int) -> None:
    if kind == _STRING:
        _string(file)
    elif kind == _ARRAY:
        inner, count = _number(file, "<I"), _number(file, "<Q")
        if inner in _SIZES:
            file.seek(_SIZES[inner] * count, 1)
        else:
            for _ in range(count):
                _skip(file, inner)
    elif kind in _SIZES:
        file.seek(_SIZES[kind], 1)
    else:
        msg = f"an unknown type of value, got {kind}"
        raise ValueError(msg)


def _string(file: BinaryIO) -> str:
    return _read(file, _number(file, "<Q")).decode("utf-8", errors="replace")


def _number(file: BinaryIO, form: str) -> int:
    (value,) = struct.unpack(form, _read(file, struct.calcsize(form)))
    return int(value)


def _read(file: BinaryIO, count: int) -> bytes:
    data = file.read(count) if count <= 1 << 24 else b""
    if len(data) < count:
        msg = f"the header ends early, got {len(data)} of {count} bytes"
        raise ValueError(msg)
    return data
