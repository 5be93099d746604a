"""Tokens into text as they come, without ever taking back what was shown."""

from collections.abc import Callable, Sequence
from typing import Final

_UNFINISHED: Final = "\N{REPLACEMENT CHARACTER}"
# A character has at most four bytes, and a token at least one.
_LONGEST_CHARACTER_TOKENS: Final = 4


class TextWriter:
    """The text of one answer; holds back half characters and what may become a stop text."""

    def __init__(self, decode: Callable[[list[int]], str], *, stop: Sequence[str] = ()) -> None:
        self._decode = decode
        self._stop = tuple(stop)
        self._tokens: list[int] = []
        self._start = 0
        """First token of the window that is decoded; earlier ones can't change the text."""
        self._shown = 0
        self._held = ""
        self.stopped = False
        """Whether a stop text came; it and what follows are never shown."""

    def push(self, token: int) -> str:
        """What can be shown now that this token is known."""
        self._tokens.append(token)
        return self._without_stop(self._new_text(flush=False), end=False)

    def finish(self) -> str:
        """What was held back until the end."""
        return self._without_stop(self._new_text(flush=True), end=True)

    def _new_text(self, *, flush: bool) -> str:
        """Text of the tokens not yet shown; decoded with those before, as spaces depend on them."""
        before = self._decode(self._tokens[self._start : self._shown])
        text = self._decode(self._tokens[self._start :])
        pending = len(self._tokens) - self._shown
        if not flush and (
            len(text) <= len(before)
            or (text.endswith(_UNFINISHED) and pending < _LONGEST_CHARACTER_TOKENS)
        ):
            return ""
        self._start, self._shown = self._shown, len(self._tokens)
        return text[len(before) :]

    def _without_stop(self, text: str, *, end: bool) -> str:
        if self.stopped:
            return ""
        text = self._held + text
        places = [place for stop in self._stop if (place := text.find(stop)) >= 0]
        if places:
            self.stopped, self._held = True, ""
            return text[: min(places)]
        keep = 0 if end else max((_overlap(text, stop) for stop in self._stop), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of the text that the stop text begins with."""
    for size in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:size]):
            return size
    return 0
