"""Whether requests may come."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

State = Literal["loading", "ready", "stopping"]


@dataclass(slots=True)
class Readiness:
    """Loading until the first list is in the index; stopping once told so."""

    loaded: Callable[[], bool]
    stopping: bool = False
    _was_loaded: bool = False

    def state(self) -> State:
        """What it is now; once loaded it stays so while the API server is away."""
        self._was_loaded = self._was_loaded or self.loaded()
        if self.stopping:
            return "stopping"
        return "ready" if self._was_loaded else "loading"
