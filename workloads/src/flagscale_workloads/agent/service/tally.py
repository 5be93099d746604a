"""Calls of tools, to be added to the status of each AgentTool."""

from collections import Counter
from collections.abc import Mapping


class Tally:
    """Counts since it was emptied last."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()

    def called(self, namespace: str, name: str) -> None:
        """A tool was called once more."""
        self._counts[namespace, name] += 1

    def take(self) -> Mapping[tuple[str, str], int]:
        """All counts; they begin anew."""
        taken, self._counts = self._counts, Counter()
        return taken

    def give_back(self, namespace: str, name: str, calls: int) -> None:
        """They could not be written."""
        self._counts[namespace, name] += calls
