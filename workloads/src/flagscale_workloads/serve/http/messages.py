"""Requests as they were received, and the bytes of responses."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

Headers = tuple[tuple[bytes, bytes], ...]
JSON: Final = b"application/json"
EVENT_STREAM: Final = b"text/event-stream"
_REASONS: Final = {status.value: status.phrase.encode() for status in HTTPStatus}
# Names of OpenAI's error types by status; what is not listed is the server's fault.
_ERROR_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "invalid_request_error",
    411: "invalid_request_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    429: "rate_limit_error",
    431: "invalid_request_error",
}


@dataclass(slots=True)
class Request:
    """One request; header names are in lower case."""

    method: str
    path: str
    query: str
    headers: dict[bytes, bytes]
    body: bytes = b""
    keep_alive: bool = True


@dataclass(frozen=True, slots=True)
class HttpError(Exception):
    """A refusal that the client is told about, in OpenAI's error shape."""

    status: int
    code: str
    message: str
    param: str | None = None
    headers: Headers = field(default=())

    def body(self) -> bytes:
        """The JSON document."""
        return error_body(self.status, self.code, self.message, self.param)


def error_body(status: int, code: str, message: str, param: str | None = None) -> bytes:
    """OpenAI's error document."""
    error: dict[str, Any] = {
        "message": message,
        "type": _ERROR_TYPES.get(status, "server_error"),
        "param": param,
        "code": code,
    }
    return json.dumps({"error": error}).encode()


def response_head(
    status: int,
    content_type: bytes,
    *,
    length: int | None,
    headers: Iterable[tuple[bytes, bytes]] = (),
    keep_alive: bool = True,
) -> bytes:
    """Status line and headers; without a length the body is chunked."""
    lines = [
        b"HTTP/1.1 %d %s" % (status, _REASONS.get(status, b"Unknown")),
        b"content-type: " + content_type,
        b"transfer-encoding: chunked" if length is None else b"content-length: %d" % length,
    ]
    lines += [name + b": " + value for name, value in headers]
    if not keep_alive:
        lines.append(b"connection: close")
    return b"\r\n".join(lines) + b"\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK: Final = b"0\r\n\r\n"
