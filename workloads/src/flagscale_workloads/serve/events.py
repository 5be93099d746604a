"""Streams of server-sent events as they pass: whether they ended well, and what they used."""

import json
import re
from dataclasses import dataclass
from typing import Any, Final

TAIL_BYTES: Final = 2048
DONE: Final = b"data: [DONE]"
# OpenAI's Responses API has no [DONE]: one of these begins its last event. A line break is never
# inside JSON, so no answer can say it by accident.
RESPONSE: Final = b"event: response."
RESPONSE_ENDS: Final = tuple(
    b"\n" + RESPONSE + word for word in (b"completed", b"incomplete", b"failed")
)
_SEAM_BYTES: Final = max(map(len, RESPONSE_ENDS))
_USAGE: Final = re.compile(rb'"usage"\s*:\s*(\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\})')


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of a request."""

    prompt: int = 0
    generated: int = 0

    @property
    def total(self) -> int:
        """What a client's limit is charged with."""
        return self.prompt + self.generated


def find_usage(data: bytes) -> Usage | None:
    """The last usage object in an answer or in the end of a stream, without parsing the rest."""
    found = _USAGE.search(data, max(0, data.rfind(b'"usage"')))
    if found is None:
        return None
    try:
        usage: dict[str, Any] = json.loads(found[1])
        return Usage(int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0))
    except (ValueError, TypeError, AttributeError):
        return None


class EventStream:
    """Sees each piece of a stream once; keeps only its end."""

    def __init__(self) -> None:
        self.events = 0
        self._tail = b""
        self._is_response = False
        self._response_ended = False

    def feed(self, piece: bytes) -> None:
        """A piece, cut anywhere."""
        self.events += piece.count(b"\n\n")
        if len(self._tail) < len(RESPONSE):
            self._is_response = (self._tail + piece).startswith(RESPONSE)
        if self._is_response and not self._response_ended:
            seam = self._tail[-_SEAM_BYTES:] + piece
            self._response_ended = any(end in seam for end in RESPONSE_ENDS)
        self._tail = piece[-TAIL_BYTES:] if len(piece) >= TAIL_BYTES else (
            self._tail[len(piece) - TAIL_BYTES :] + piece
        )  # fmt: skip

    @property
    def complete(self) -> bool:
        """Whether the stream has said that it is done."""
        return self._response_ended or (b"\n" + self._tail.rstrip()).endswith(b"\n" + DONE)

    def usage(self) -> Usage | None:
        """What the engine says was used; None when it does not."""
        return find_usage(self._tail)

    def closing(self, error: bytes) -> bytes:
        """An error event that no client can take for a part of a cut one, nor for an end."""
        separator = b"" if not self._tail or self._tail.endswith(b"\n\n") else b"\n\n"
        return separator + b"data: " + error + b"\n\n"
