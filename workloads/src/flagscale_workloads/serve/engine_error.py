"""What a client is told when an engine refuses or fails: always OpenAI's document.

Engines have shapes of their own: flat ones, FastAPI's `detail`, plain text, a traceback.
"""

from typing import Any, Final

import orjson

from flagscale_workloads.serve.http.messages import Headers, error_type
from flagscale_workloads.serve.http.upstream import ResponseHead
from flagscale_workloads.serve.last_words import last_words

MESSAGE_CHARACTERS: Final = 2000
_BUSY: Final = frozenset({429, 503})


def error_answer(head: ResponseHead, body: bytes) -> tuple[bytes, Headers]:
    """Body and further headers for an answer of 400 or more."""
    wait = head.headers.get(b"retry-after", b"1")
    headers = ((b"retry-after", wait),) if head.status in _BUSY else ()
    return orjson.dumps({"error": _error(head.status, _said(body))}), headers


def _said(body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(document, dict):
        return {}
    error = document.get("error", document)
    if isinstance(error, str):
        return {"message": error}
    if isinstance(error, dict) and "detail" in error:
        detail = error["detail"]
        return {"message": detail if isinstance(detail, str) else orjson.dumps(detail).decode()}
    return error if isinstance(error, dict) else {}


def _error(status: int, said: dict[str, Any]) -> dict[str, Any]:
    message, kind = said.get("message"), said.get("type")
    param, code = said.get("param"), said.get("code")
    if not isinstance(message, str):
        message = ""
    if message:
        message = last_words(["", *message.splitlines()]).strip()[:MESSAGE_CHARACTERS]
    return {
        "message": message or f"engine: answered with status {status} only; see its log",
        "type": kind if isinstance(kind, str) else error_type(status),
        "param": param if isinstance(param, str) else None,
        "code": code if isinstance(code, str) or type(code) is int else None,
    }
