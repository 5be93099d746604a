"""Answers that follow a JSON schema: which tokens may come next, by llguidance."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import torch
from llguidance import LLMatcher, LLTokenizer
from llguidance.hf import from_tokenizer

from flagscale_workloads.inference.errors import RequestError

MAX_SCHEMA_BYTES: Final = 64 << 10
# White space between tokens is allowed by JSON without end, and small models never leave it.
_COMPACT: Final[Any] = {"whitespace_flexible": False}


class Grammars:
    """Grammars over the tokens of one model; thread-safe."""

    def __init__(self, tokenizer: Any, *, vocabulary: int, ends: Iterable[int]) -> None:  # noqa: ANN401 - untyped
        self._vocabulary = vocabulary
        self._tokens = _tokens_of(tokenizer, vocabulary=vocabulary, ends=sorted(ends))

    def of_schema(self, schema: Mapping[str, Any], *, param: str) -> str:
        """The grammar of a schema. Raises RequestError for one that can't be kept to."""
        if self._tokens is None:
            msg = f"{param}: not with this model, got a schema; its tokenizer can't be constrained"
            raise RequestError(msg, param=param, code="not_supported")
        text = json.dumps(schema)
        if len(text) > MAX_SCHEMA_BYTES:
            msg = f"{param}: at most {MAX_SCHEMA_BYTES} bytes, got {len(text)}; simplify the schema"
            raise RequestError(msg, param=param, code="invalid_value")
        try:
            grammar = LLMatcher.grammar_from_json_schema(text, overrides=_COMPACT)
        except ValueError as error:
            raise _refusal(param, str(error)) from error
        failed, told = LLMatcher.validate_grammar_with_warnings(grammar, self._tokens)
        if failed:
            raise _refusal(param, told[0])
        return grammar

    def constraint(self, grammar: str) -> "Constraint":
        """The state of one answer, at its beginning; of a grammar that `of_schema` has made."""
        if self._tokens is None:
            raise TypeError("grammar: not of this model, got one without a tokenizer")
        return Constraint(LLMatcher(self._tokens, grammar, log_level=0), self._vocabulary)


class Constraint:
    """What one answer may go on with."""

    def __init__(self, matcher: LLMatcher, vocabulary: int) -> None:
        self._matcher = matcher
        self._vocabulary = vocabulary

    def allowed(self) -> torch.Tensor:
        """Of each token whether it may be next, [vocabulary] on the CPU.

        Raises RequestError when the schema turned out to be too complex on the way.
        """
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        if self._matcher.is_error():
            raise _refusal("response_format", self._matcher.get_error())
        known = torch.from_numpy(np.unpackbits(bits, bitorder="little").astype(bool))
        allowed = torch.zeros(self._vocabulary, dtype=torch.bool)
        width = min(self._vocabulary, len(known))
        allowed[:width] = known[:width]
        return allowed

    def take(self, token: int) -> bool:
        """Go on by a token; True when nothing can follow it."""
        self._matcher.consume_token(token)
        return self._matcher.is_stopped()


def _refusal(param: str, why: str) -> RequestError:
    msg = f"{param}: can't be kept to ({why[:300]}); change the schema"
    return RequestError(msg, param=param, code="invalid_value")


def _tokens_of(tokenizer: Any, *, vocabulary: int, ends: list[int]) -> LLTokenizer | None:  # noqa: ANN401 - untyped
    """The tokenizer as llguidance reads it; None for those that it can't."""
    try:
        return from_tokenizer(tokenizer, n_vocab=vocabulary, eos_token=ends or None)
    except (ValueError, TypeError):
        return None
