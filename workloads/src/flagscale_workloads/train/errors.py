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
# The agent copies the file to the termination log, of which the kubelet keeps 4096 bytes.
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
    known = isinstance(error, TrainError)
    text = str(error) if known else f"{type(error).__name__}: {error}"
    info: dict[str, Any] = {"timestamp": str(int(time.time())), "rank": rank}
    if isinstance(error, TrainError):
        info = {"cause": error.cause, **info}
    message = {"message": text[:MESSAGE_LIMIT], "extraInfo": {**info, "py_callstack": ""}}
    record: dict[str, Any] = {"message": message}
    stack = "".join(traceback.format_exception(error))
    _fit(message, "message", text)
    _fit(message["extraInfo"], "py_callstack", stack, within=record)
    return record


def _fit(
    place: dict[str, Any], key: str, text: str, *, within: dict[str, Any] | None = None
) -> None:
    """Put as much of a text in its place as the limit allows: a message's head, a stack's tail."""
    limit = RECORD_LIMIT if within else MESSAGE_LIMIT
    whole = within or place
    size = min(len(text), limit)
    while True:
        place[key] = text[len(text) - size :] if within else text[:size]
        # Escapes make a character up to 12 bytes long, so only encoding tells the size.
        excess = len(json.dumps(whole)) - limit
        if excess <= 0 or size == 0:
            return
        size = max(0, size - max(1, excess // 12))


def write_error_file(error: Exception, *, rank: int) -> None:
    """Write the record where torchrun looks for it, if it asked for one."""
    path = os.environ.get(ERROR_FILE)
    if not path:
        return
    try:
        Path(path).write_text(json.dumps(error_record(error, rank=rank)))
    except OSError as failure:
        print(f"cannot write {ERROR_FILE} {path}: {failure}", flush=True)
