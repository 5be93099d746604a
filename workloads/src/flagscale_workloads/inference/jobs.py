"""What the model's thread works on, and what it tells back."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from flagscale_workloads.inference.errors import RequestError
from flagscale_workloads.inference.sampling import Sampling, Token

Finish = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class TextPiece:
    """Further text of an answer; the tokens may be more than the text shows."""

    text: str
    tokens: tuple[Token, ...]
    finish: Finish | None = None
    """Set in the last piece."""


@dataclass(frozen=True, slots=True)
class Vectors:
    """One vector of unit length per input."""

    values: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Images:
    """Pictures as PNG."""

    png: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there will be nothing more."""

    error: RequestError


Event: TypeAlias = TextPiece | Vectors | Images | Failure


@dataclass(frozen=True, slots=True)
class GenerationInput:
    """A prompt as tokens."""

    tokens: tuple[int, ...]
    sampling: Sampling


@dataclass(frozen=True, slots=True)
class EmbeddingInput:
    """Texts as tokens."""

    sequences: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class ImageInput:
    """Pictures of one prompt; the picture at place i has seed `seed + i`."""

    prompt: str
    count: int
    seed: int
    width: int | None = None
    height: int | None = None
    steps: int | None = None
    guidance: float | None = None


ModelInput: TypeAlias = GenerationInput | EmbeddingInput | ImageInput


@dataclass(eq=False, slots=True)
class Job:
    """One request on its way; `emit` is called in the model's thread and must not block."""

    input: ModelInput
    emit: Callable[[Event], None]
    cancelled: bool = field(default=False)

    def cancel(self) -> None:
        """Nobody waits any more; its place is free before the next step."""
        self.cancelled = True


def is_last(event: Event) -> bool:
    """Whether nothing follows this event."""
    return not isinstance(event, TextPiece) or event.finish is not None
