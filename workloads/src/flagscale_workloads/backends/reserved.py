"""Words for extra arguments that contradict what is set elsewhere."""

from typing import Final

OURS: Final = "the serving process decides it; remove it"


def instead(field: str) -> str:
    """The remedy: a neutral field says it."""
    return f"use engine.{field}" if field != "model" else "use the model's path and name"
