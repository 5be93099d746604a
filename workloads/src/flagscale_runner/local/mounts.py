"""Paths as a pod sees them, and where they are on this machine (pure)."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Mounts:
    """Mount paths and the folders that stand for them; there is no mount: texts are rewritten."""

    folders: tuple[tuple[str, Path], ...]

    def outside(self, text: str) -> str:
        """A path under a mount as a path of this machine; `--option=/mount/path` too."""
        option, equals, value = text.partition("=")
        if equals and option.startswith("-"):
            return f"{option}={self.outside(value)}"
        for mount, folder in self._longest_first():
            if text == mount or text.startswith(f"{mount}/"):
                return f"{folder}{text[len(mount) :]}"
        return text

    def outside_all(self, value: object) -> object:
        """The same for every text in a JSON value; keys stay."""
        if isinstance(value, str):
            return self.outside(value)
        if isinstance(value, list):
            return [self.outside_all(item) for item in value]
        if isinstance(value, dict):
            return {key: self.outside_all(item) for key, item in value.items()}
        return value

    def inside(self, text: str) -> str:
        """A text that names folders of this machine, as a pod would have written it."""
        for mount, folder in sorted(self.folders, key=lambda pair: -len(str(pair[1]))):
            text = text.replace(str(folder), mount)
        return text

    def _longest_first(self) -> list[tuple[str, Path]]:
        return sorted(self.folders, key=lambda pair: -len(pair[0]))
