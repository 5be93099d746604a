"""What a tool gave back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """As REST and MCP pass it on."""

    is_error: bool
    """Whether the tool itself says that it failed."""
    text: str = ""
    structured: Any = None
    blocks: Sequence[Any] = ()
    """MCP content, where the tool speaks MCP."""
    status: int = 0
    """HTTP status of the tool, where it speaks HTTP."""
    attempts: int = 1
    took_ms: float = 0.0
