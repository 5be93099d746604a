"""The end of an engine's log, as a person wants to read it in a status."""

from collections.abc import Iterable
from typing import Final

_TRACEBACK: Final = "Traceback (most recent call last):"


def last_words(lines: Iterable[str]) -> str:
    """Lines without the frames of Python's tracebacks, whose last line says what happened."""
    kept: list[str] = []
    # The log's end may begin within a traceback.
    within = True
    for line in lines:
        if line == _TRACEBACK:
            within = True
        elif not (within and line.startswith(" ")):
            within = False
            kept.append(line)
    return "\n".join(kept)
