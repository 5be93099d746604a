"""Texts of tools: they are read by models, so nothing hidden may be in them."""

import re
from typing import Annotated, Any, Final

from pydantic import StringConstraints

from flagscale_api.meta import CelRule

DESCRIPTION_CHARACTERS: Final = 8192
_WORDS: Final = r"^[^\s\x00-\x1f\x7f]([^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?$"

ToolName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_][-A-Za-z0-9_.]*$", min_length=1, max_length=128)
]
ServerName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9\[][-A-Za-z0-9_.:\]]*$", max_length=253)
]
Label = Annotated[str, StringConstraints(pattern=_WORDS, min_length=1, max_length=63)]
Description = Annotated[str, StringConstraints(min_length=1, max_length=DESCRIPTION_CHARACTERS)]
Query = Annotated[str, StringConstraints(min_length=1, max_length=512)]

# Control characters but for tab and line ends, bidirectional overrides, invisible tag characters:
# what a person who reviews a tool does not see, and a model does.
_HIDDEN: Final = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f%s]"
HIDDEN: Final = re.compile(_HIDDEN % "\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f")
_HIDDEN_CEL: Final = _HIDDEN % r"\x{202a}-\x{202e}\x{2066}-\x{2069}\x{e0000}-\x{e007f}"
_TOLD: Final = (
    "may not contain control characters, bidirectional overrides or invisible tag characters; "
    "remove them"
)


def hidden_in(text: str) -> str | None:
    """The first hidden character of a text, as U+XXXX."""
    found = HIDDEN.search(text)
    return f"U+{ord(found.group()):04X}" if found else None


def nothing_hidden(field: str, *, where: str) -> CelRule:
    """Nothing hidden in a text."""
    return CelRule(
        f"!has(self.{field}) || !self.{field}.matches(r'{_HIDDEN_CEL}')",
        f"{where}.{field}: {_TOLD}",
        f".{field}",
        holds=lambda owner: not HIDDEN.search(getattr(owner, field) or ""),
    )


def nothing_hidden_in_any(attribute: str, field: str, *, where: str) -> CelRule:
    """Nothing hidden in any text of a list."""
    return CelRule(
        f"self.{field}.all(t, !t.matches(r'{_HIDDEN_CEL}'))",
        f"{where}.{field}: {_TOLD}",
        f".{field}",
        holds=lambda owner: not any(map(HIDDEN.search, getattr(owner, attribute))),
    )


def each_once(attribute: str, field: str, *, where: str) -> CelRule:
    """No text of a list twice."""
    return CelRule(
        f"self.{field}.all(t, self.{field}.exists_one(u, u == t))",
        f"{where}.{field}: each may occur once; remove the others",
        f".{field}",
        holds=lambda owner: _unique(getattr(owner, attribute)),
    )


def _unique(values: list[Any]) -> bool:
    return len(set(values)) == len(values)
