"""What a program has told of itself at the termination-message path: anybody's bytes."""

import json
from typing import Any


def read_told(text: str) -> dict[str, Any]:
    """The JSON object of a termination message, or an empty one; its values may be anything."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def words(value: object) -> str:
    """A value as text that can be stored: JSON may hold half of a surrogate pair."""
    return str(value).encode(errors="replace").decode()
