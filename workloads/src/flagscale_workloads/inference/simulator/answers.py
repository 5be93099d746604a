"""The whole answer to a request, computed before it is told in time."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

from flagscale_workloads.inference.simulator.api_error import ApiError
from flagscale_workloads.inference.simulator.instances import SchemaError, smallest_instance
from flagscale_workloads.inference.simulator.requests import (
    ChatRequest,
    CompletionRequest,
    Function,
    Sampling,
    ToolChoice,
)
from flagscale_workloads.inference.simulator.text import text_key, text_tokens
from flagscale_workloads.inference.simulator.tokens import tokenize

# As OpenAI's.
_COMPLETION_TOKENS: Final = 16

Finish = Literal["stop", "length", "tool_calls"]


@dataclass(frozen=True, slots=True)
class Answer:
    """Tokens and why there are no more."""

    pieces: tuple[str, ...]
    """Text of each token; empty where a token belongs to a stop string."""
    finish: Finish
    tool: str | None = None
    """Function that is called; the pieces are its arguments."""

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self.pieces)


@dataclass(frozen=True, slots=True)
class Author:
    """Writes answers."""

    model: str
    seed: int
    """Of requests that bring none."""
    natural_tokens: int
    """Length of an answer that nothing cuts."""

    def chat(self, request: ChatRequest, prompt: list[str], *, room: int) -> Answer:
        """The answer to a chat with room for so many tokens; ApiError for a schema outside ours."""
        asked = request.max_completion_tokens or request.max_tokens
        limit = min(asked or room, room)
        if function := _called(request):
            tokens = _json_tokens(function.parameters, f"tools.{function.name}.parameters")
            whole = len(tokens) <= limit
            finish: Finish = "tool_calls" if whole else "length"
            return Answer(tuple(tokens[:limit]), finish, function.name)
        if request.response_format and request.response_format.type != "text":
            named = request.response_format.json_schema
            schema: dict[str, Any] = named.schema_ if named else {"type": "object"}
            return _cut(_json_tokens(schema, "response_format"), limit, request.stops)
        return self._text(request, prompt, limit, limit if request.ignore_eos and asked else None)

    def completion(self, request: CompletionRequest, prompt: list[str], *, room: int) -> Answer:
        """The text after a prompt, with room for so many tokens."""
        limit = min(request.max_tokens or _COMPLETION_TOKENS, room)
        return self._text(request, prompt, limit, limit if request.ignore_eos else None)

    def _text(self, request: Sampling, prompt: list[str], limit: int, length: int | None) -> Answer:
        seed = self.seed if request.seed is None else request.seed
        temperature = 1.0 if request.temperature is None else request.temperature
        key = text_key(model=self.model, seed=seed, temperature=temperature, prompt=prompt)
        return _cut(text_tokens(key, length or self.natural_tokens), limit, request.stops)


def _called(request: ChatRequest) -> Function | None:
    """The function to call; with `auto` the first one, until a tool has answered."""
    choice = request.tool_choice
    functions = [tool.function for tool in request.tools]
    if isinstance(choice, ToolChoice):
        return next(f for f in functions if f.name == choice.function.name)
    asked = choice == "required" or request.messages[-1].role == "user"
    return functions[0] if functions and choice != "none" and asked else None


def _json_tokens(schema: dict[str, Any], param: str) -> list[str]:
    try:
        return tokenize(json.dumps(smallest_instance(schema)))
    except SchemaError as error:
        raise ApiError(400, f"{param}: {error}", param=param.partition(".")[0]) from error


def _cut(tokens: list[str], limit: int, stops: Iterable[str]) -> Answer:
    """At most `limit` tokens, and none after a stop string, which itself is left out."""
    kept = tokens[:limit]
    text = "".join(kept)
    found = [(at, at + len(stop)) for stop in stops if (at := text.find(stop)) >= 0]
    if not found:
        return Answer(tuple(kept), "stop" if len(tokens) <= limit else "length")
    visible, end = min(found, key=lambda span: (span[1], span[0]))
    pieces = []
    position = 0
    for token in kept:
        pieces.append(token[: max(0, visible - position)])
        position += len(token)
        if position >= end:
            break
    return Answer(tuple(pieces), "stop")
