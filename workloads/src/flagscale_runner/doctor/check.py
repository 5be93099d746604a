"""One thing that has to be there."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Check:
    """What was found; `missing` with what to do about it."""

    name: str
    found: str
    missing: str = ""
    optional: bool = False
    """It is for some resources only."""

    @property
    def blocks(self) -> bool:
        """Whether nothing works without it."""
        return bool(self.missing) and not self.optional

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)
