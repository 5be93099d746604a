"""Requests that ask for several things: the parts that each want a tool of their own."""

import re

CLAUSES = 6
MIN_WORDS = 3
_BREAK = re.compile(
    r"(?:[.!?;\n]+\s+|[\u3002\uff01\uff1f\uff1b]+"
    r"|,?\s+(?:and then|and also|and|then|also|after that|as well as)\s+"
    r"|\uff0c?(?:\u7136\u540e|\u5e76\u4e14|\u4ee5\u53ca|\u63a5\u7740))",
    re.IGNORECASE,
)
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]")


def clauses(text: str) -> tuple[str, ...]:
    """The request's clauses when it has at least two of three words each; else none.

    Scripts without spaces count two characters as a word.
    """
    found = tuple(part.strip() for part in _BREAK.split(text) if _words(part) >= MIN_WORDS)
    return found[:CLAUSES] if len(found) > 1 else ()


def _words(text: str) -> int:
    return len(text.split()) + len(_CJK.findall(text)) // 2
