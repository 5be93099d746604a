"""Log-probabilities: made up, but falling with the rank and the same each time."""

import hashlib
from collections.abc import Sequence
from typing import Any


def logprob(token: str, position: int, rank: int = 0) -> float:
    """Natural logarithm for the rank-th likeliest token at a position."""
    draw = hashlib.blake2b(f"{position}\0{token}".encode(), digest_size=1).digest()[0]
    return -round(0.01 + draw / 256 + rank, 4)


def chat_logprobs(pieces: Sequence[str], start: int, end: int, *, top: int) -> dict[str, Any]:
    """OpenAI's chat form for the tokens from start to before end."""
    return {"content": [_entry(pieces[i], i, top) for i in range(start, end)], "refusal": None}


def completion_logprobs(pieces: Sequence[str], start: int, end: int, *, top: int) -> dict[str, Any]:
    """OpenAI's older form; offsets count characters of the answer."""
    offsets = [sum(map(len, pieces[:i])) for i in range(start, end)]
    ranked = [dict(_ranked(pieces[i], i, max(1, top))) for i in range(start, end)]
    return {
        "tokens": list(pieces[start:end]),
        "token_logprobs": [logprob(pieces[i], i) for i in range(start, end)],
        "top_logprobs": ranked,
        "text_offset": offsets,
    }


def _entry(token: str, position: int, top: int) -> dict[str, Any]:
    ranked = _ranked(token, position, top)
    return {
        **_one(token, logprob(token, position)),
        "top_logprobs": [_one(other, value) for other, value in ranked],
    }


def _one(token: str, value: float) -> dict[str, Any]:
    return {"token": token, "logprob": value, "bytes": list(token.encode())}


def _ranked(token: str, position: int, top: int) -> list[tuple[str, float]]:
    """The token itself, then others that were less likely."""
    return [(token if not r else f"{token}~{r}", logprob(token, position, r)) for r in range(top)]
