"""Text that is a pure function of model, seed and prompt."""

import hashlib
from collections.abc import Iterator
from typing import Final

_VOCABULARY: Final = (
    "a about after all also and any are as at be because but by can could day do even first for "
    "from get give go good have how if in into is it just know like look make many more most new "
    "no not now of on one only or other our out over people say see some take than that the their "
    "then there these they think this time to two"
)
_WORDS: Final = tuple(_VOCABULARY.split())
_SENTENCE_TOKENS: Final = 12


def text_tokens(key: str, count: int) -> list[str]:
    """`count` tokens of sentences; fewer are a prefix of more."""
    return list(_sentences(hashlib.shake_128(key.encode()).digest(count)))


def text_key(*, model: str, seed: int, temperature: float, prompt: list[str]) -> str:
    """What a text depends on; at temperature 0 sampling has no seed."""
    return "\0".join((model, str(seed if temperature else "greedy"), *prompt))


def _sentences(draws: bytes) -> Iterator[str]:
    for position, draw in enumerate(draws):
        place = position % _SENTENCE_TOKENS
        word = _WORDS[draw % len(_WORDS)]
        if place == _SENTENCE_TOKENS - 1:
            yield "."
        elif place == 0:
            yield word.capitalize() if position == 0 else f" {word.capitalize()}"
        else:
            yield f" {word}"
