"""One connection between the service and its embedder: a request, then its answer.

A request is JSON, `[text, ...]` or `{"text": ..., "parts": [...]}`; an answer is one byte, 0 with
rows of little-endian floats or 1 with a sentence.
"""

import json
from multiprocessing.connection import Connection
from typing import Any, Final

import numpy as np

from flagscale_workloads.agent.tool_match.encoders import Encoder
from flagscale_workloads.agent.tool_match.views import Vectors

REQUEST_BYTES: Final = 16 << 20
ANSWER_BYTES: Final = 64 << 20
READY: Final = b"ready"
_FLOATS: Final = np.dtype("<f4")


class EmbedderError(Exception):
    """The embedder gave no vectors: it is starting, gone, late, or says why not."""


class EmbedderLateError(EmbedderError):
    """No answer in time: what comes later would be taken for the next one's, so it must end."""


Request = list[str] | dict[str, Any]


def ask(lane: Connection, request: Request, dimensions: int, timeout_s: float) -> Vectors:
    """Rows that the embedder answers with. Raises EmbedderError."""
    try:
        lane.send_bytes(json.dumps(request).encode())
        if not lane.poll(timeout_s):
            msg = f"embedder: no answer within {timeout_s:g} s"
            raise EmbedderLateError(msg)
        answer = lane.recv_bytes(ANSWER_BYTES)
    except (EOFError, OSError) as error:
        msg = f"embedder: gone ({type(error).__name__})"
        raise EmbedderError(msg) from error
    if answer[:1] != b"\0":
        raise EmbedderError(f"embedder: {answer[1:].decode(errors='replace')}")
    return np.frombuffer(answer[1:], _FLOATS).reshape(-1, dimensions).astype(np.float32)


def answer_all(lane: Connection, encoder: Encoder) -> None:
    """Answer requests until the other side is gone."""
    while True:
        try:
            request = json.loads(lane.recv_bytes(REQUEST_BYTES))
            lane.send_bytes(_answer(request, encoder))
        except (EOFError, OSError):
            return


def _answer(request: Request, encoder: Encoder) -> bytes:
    try:
        if isinstance(request, list):
            rows = encoder.encode(request)
        else:
            rows = encoder.encode_query(request["text"], request["parts"])
        return b"\0" + np.ascontiguousarray(rows, _FLOATS).tobytes()
    except Exception as problem:  # noqa: BLE001 - a text that it can't take must not end it
        return b"\1" + f"{type(problem).__name__}: {problem}".encode()
