"""Requests as they were received, and the bytes of responses."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import httptools

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
    takes_chunks: bool = True
    """False for HTTP/1.0, where a body of unknown length ends with the connection."""


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


def busy(status: int, code: str, what: str) -> HttpError:
    """A refusal that time heals: 429 or 503, with Retry-After."""
    headers = ((b"retry-after", b"1"),)
    return HttpError(status, code, f"gateway: {what}; try again later", headers=headers)


def split_target(target: bytes) -> tuple[str, str]:
    """Path and query of a request's target. Raises HttpError 400."""
    try:
        url = httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError as error:
        shown = target[:100].decode("latin-1")
        message = f"request: its target is no path or URL, got {shown!r}; correct it"
        raise HttpError(400, "bad_request", message) from error
    return (url.path or b"/").decode("latin-1"), (url.query or b"").decode("latin-1")


def request_head(
    method: bytes, target: bytes, headers: Mapping[bytes, bytes], *, without: bytes
) -> bytes:
    """The head of a received request without one of its headers."""
    kept = (name + b": " + value for name, value in headers.items() if name != without)
    return b"\r\n".join([method + b" " + target + b" HTTP/1.1", *kept]) + b"\r\n\r\n"


def error_type(status: int) -> str:
    """OpenAI's word for errors with this status."""
    return _ERROR_TYPES.get(status, "server_error")


def error_body(status: int, code: str, message: str, param: str | None = None) -> bytes:
    """OpenAI's error document."""
    error: dict[str, Any] = {
        "message": message,
        "type": error_type(status),
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
    chunked: bool = True,
) -> bytes:
    """Status line and headers; a body without a length is chunked, or ends with the connection."""
    lines = [
        b"HTTP/1.1 %d %s" % (status, _REASONS.get(status, b"Unknown")),
        b"content-type: " + content_type,
    ]
    if length is not None:
        lines.append(b"content-length: %d" % length)
    elif chunked:
        lines.append(b"transfer-encoding: chunked")
    lines += [name + b": " + value for name, value in headers]
    if not keep_alive:
        lines.append(b"connection: close")
    return b"\r\n".join(lines) + b"\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK: Final = b"0\r\n\r\n"
