"""What the bodies of chats and completions have in common."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flagscale_workloads.inference.simulator.answers import Answer

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of a request."""

    prompt: int
    cached: int
    completion: int

    def body(self) -> Body:
        """OpenAI's form."""
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
            "prompt_tokens_details": {"cached_tokens": self.cached},
        }


@dataclass(frozen=True, slots=True)
class Head:
    """What every body begins with."""

    id: str
    model: str
    created: int

    def body(self, kind: str) -> dict[str, Any]:
        """The first fields of a body."""
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


class Form(ABC):
    """How an answer is told: at once, or token by token."""

    def __init__(self, head: Head, answer: Answer) -> None:
        self.head = head
        self.answer = answer

    @abstractmethod
    def whole(self, usage: Usage) -> Body:
        """The body of an answer that is not streamed."""

    @abstractmethod
    def opening(self) -> Iterator[Body]:
        """Chunks before the first token."""

    @abstractmethod
    def piece(self, position: int) -> Body | None:
        """The chunk of a token; None if there is nothing to tell."""

    @abstractmethod
    def closing(self) -> Body:
        """The chunk with the finish reason."""

    @abstractmethod
    def final_usage(self, usage: Usage) -> Body:
        """The chunk with the usage, without choices."""


def encode(body: Body) -> bytes:
    """Compact JSON."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def event(body: Body) -> bytes:
    """A server-sent event."""
    return b"data: " + encode(body) + b"\n\n"
