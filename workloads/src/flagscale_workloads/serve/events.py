"""Streams of server-sent events as they pass: whether they ended well, and what they used."""

import json
import re
from dataclasses import dataclass
from typing import Any, Final

TAIL_BYTES: Final = 2048
DONE: Final = b"data: [DONE]"
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

    def feed(self, piece: bytes) -> None:
        """A piece, cut anywhere."""
        self.events += piece.count(b"\n\n")
        self._tail = piece[-TAIL_BYTES:] if len(piece) >= TAIL_BYTES else (
            self._tail[len(piece) - TAIL_BYTES :] + piece
        )  # fmt: skip

    @property
    def complete(self) -> bool:
        """Whether the stream has said that it is done."""
        return DONE in self._tail[-64:]

    def usage(self) -> Usage | None:
        """What the engine says was used; None when it does not."""
        return find_usage(self._tail)

    def closing(self, error: bytes) -> bytes:
        """An error event that no client can take for a part of a cut one, nor for an end."""
        separator = b"" if not self._tail or self._tail.endswith(b"\n\n") else b"\n\n"
        return separator + b"data: " + error + b"\n\n"
