"""Failures that the user can act on, and the file through which torchrun learns of any failure."""

import json
import os
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

Cause = Literal["InvalidData", "InvalidSpec", "CheckpointUnreadable", "OutputUnwritable", "Fenced"]

ERROR_FILE: Final = "TORCHELASTIC_ERROR_FILE"
TERMINATION_LOG: Final = "FLAGSCALE_TERMINATION_LOG"
# The kubelet keeps the last 4096 bytes of the termination log.
RECORD_LIMIT: Final = 3500
MESSAGE_LIMIT: Final = 1200


class TrainError(Exception):
    """A failure with a cause the operator knows: `<field>: <what is wrong>; <what to do>`."""

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(cause, message)
        self.cause: Cause = cause
        self.message = message

    def __str__(self) -> str:
        return self.message


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Tell an OSError of the output as what it means to the user."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        msg = (
            f"spec.trainer.output.path: cannot write {error.filename or path}: {reason}; "
            "use a volume that is writable for the pod's user and has space left"
        )
        raise TrainError("OutputUnwritable", msg) from error


def error_record(error: Exception, *, rank: int) -> dict[str, Any]:
    """The torchelastic form of a failure, below RECORD_LIMIT bytes once encoded."""
    info: dict[str, Any] = {"timestamp": str(int(time.time())), "rank": rank}
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, TrainError):
        text, info = str(error), {"cause": error.cause, **info}
    message = _cut(text, MESSAGE_LIMIT, tail=False)
    record: dict[str, Any] = {
        "message": {"message": message, "extraInfo": {**info, "py_callstack": ""}}
    }
    stack = "".join(traceback.format_exception(error))
    room = RECORD_LIMIT - len(json.dumps(record))
    record["message"]["extraInfo"]["py_callstack"] = _cut(stack, room, tail=True)
    return record


def _cut(text: str, limit: int, *, tail: bool) -> str:
    """As much of a text, from its head or its tail, as takes `limit` bytes in JSON."""
    size = min(len(text), limit)
    while size:
        part = text[-size:] if tail else text[:size]
        # An escaped character takes up to 12 bytes, so only encoding tells.
        excess = len(json.dumps(part)) - limit
        if excess <= 0:
            return part
        size = max(0, size - max(1, excess // 12))
    return ""


def write_error_file(error: Exception, *, rank: int) -> None:
    """Write the record where torchrun looks for it, and where the kubelet does.

    torchrun can't do the latter for us: it deletes the file first, and the termination log is a
    mount. The first process of a pod to fail wins there, as it may have failed the others.
    """
    record = json.dumps(error_record(error, rank=rank))
    for name in (ERROR_FILE, TERMINATION_LOG):
        path = os.environ.get(name)
        if not path or (name == TERMINATION_LOG and _has_content(Path(path))):
            continue
        try:
            Path(path).write_text(record)
        except OSError as failure:
            print(f"cannot write {name} {path}: {failure}", flush=True)


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0
