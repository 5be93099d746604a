"""`python -m flagscale_llamacpp`: `llama_cpp.server` with a bound on every answer.

Runs in llama.cpp's environment, where nothing of FlagScale may be installed.
"""

import runpy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import llama_cpp

Criteria = Callable[[Any, Any], bool]


class Limit:
    """How many tokens an answer may have; llama.cpp asks it afterwards whether to stop."""

    def __init__(self, tokens: int | None, other: Criteria | None) -> None:
        self.tokens = tokens
        self.other = other
        self.reached = False

    def __call__(self, tokens: Any, scores: Any) -> bool:  # noqa: ANN401 - llama.cpp's types
        """Whether to stop, by this limit or by what else was asked."""
        return self.reached or (self.other is not None and self.other(tokens, scores))


class BoundedLlama(llama_cpp.Llama):  # type: ignore[misc]
    """Ends an answer at its `max_tokens`, and at the end of the context, come what may."""

    def _create_completion(
        self,
        *arguments: Any,
        max_tokens: int | None = 16,
        stopping_criteria: Criteria | None = None,
        **named: Any,
    ) -> Iterator[Any]:
        limit = Limit(max_tokens, stopping_criteria)
        named |= {"max_tokens": max_tokens, "stopping_criteria": limit}
        for part in super()._create_completion(*arguments, **named):
            for choice in part["choices"]:
                if limit.reached and choice["finish_reason"] == "stop":
                    choice["finish_reason"] = "length"
            yield part

    def generate(
        self, tokens: Sequence[int], *, stopping_criteria: Limit, **named: Any
    ) -> Iterator[int]:
        """Tokens until the limit; llama.cpp itself asks for one more within a character."""
        room = self._n_ctx - len(tokens)
        asked = stopping_criteria.tokens or 0
        allowed = min(asked, room) if asked > 0 else room
        written = super().generate(tokens, stopping_criteria=stopping_criteria.other, **named)
        for number, token in enumerate(written, 1):
            yield token
            if number >= allowed:
                stopping_criteria.reached = True
                return


if __name__ == "__main__":
    llama_cpp.Llama = BoundedLlama
    runpy.run_module("llama_cpp.server", run_name="__main__", alter_sys=True)
