"""Text to terms: identifiers split, words stemmed, Chinese, Japanese and Korean in bigrams."""

import re
import unicodedata
from functools import lru_cache

import Stemmer

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
_RUN = re.compile(rf"[{_CJK}]+|[^\W_{_CJK}]+")
# readFile, HTTPServer and sha256sum come apart.
_PART = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+|[^\W\d_A-Za-z]+")
_IS_CJK = re.compile(rf"[{_CJK}]")
_STOP = (
    "a an the and or of to in on at by for from with into as is are was were be been being it its "
    "this that these those i me my we our us you your he she they them their his her do does did "
    "can could would should will shall may might must please if then than so just also any some "
    "which who whom whose what when where how there here have has had am not no but about up out "
    "using use used via want need help give tell let like"
)
STOP_WORDS = frozenset(_STOP.split())
_STEMMER = Stemmer.Stemmer("english")


@lru_cache(maxsize=65536)
def _stem(word: str) -> str:
    return str(_STEMMER.stemWord(word))


def terms(text: str) -> list[str]:
    """Terms in order, stop words left out; `readFile` and `read_file` give the same two.

    So do the forms of a character that mean the same: input methods write letters in full width,
    and some systems write accents and Korean syllables in parts (NFKC, Unicode Annex 15).
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    found: list[str] = []
    for run in _RUN.findall(text):
        if _IS_CJK.match(run):
            found += [run[i : i + 2] for i in range(len(run) - 1)] if len(run) > 1 else [run]
            continue
        words = [part.lower() for part in _PART.findall(run)]
        found += [_stem(word) for word in words if word not in STOP_WORDS]
    return found


def plain(text: str) -> str:
    """An identifier as an encoder reads it: words with spaces between."""
    return " ".join(part for run in _RUN.findall(text) for part in (_PART.findall(run) or [run]))
