"""Events as a reconciler posts them, kept instead of sent."""

from typing import Any


class Events:
    """Implements `Recorder`."""

    def __init__(self) -> None:
        self.posted: list[tuple[str, str]] = []
        """Type and reason of each."""
        self.words: list[str] = []
        self.about: list[str] = []

    async def post(self, body: dict[str, Any], type_: str, reason: str, message: str) -> None:
        """See `Recorder.post`."""
        self.posted.append((type_, reason))
        self.words.append(message)
        self.about.append(f"{body['kind']}/{body['metadata']['name']}")
