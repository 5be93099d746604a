"""Tokens: words and punctuation marks, each with the white space before it."""

import re
from typing import Final

# Long words are cut, so that a text without spaces still has a length in tokens.
_TOKEN: Final = re.compile(r"\s*\w{1,16}|\s*[^\w\s]|\s+")


def tokenize(text: str) -> list[str]:
    """The tokens of a text; joined they are the text."""
    return _TOKEN.findall(text)
