"""Which pinned requirements two environments of one image have in common (pure)."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

_PINNED: Final = re.compile(rb"([A-Za-z0-9._-]+)==([^\s;\\]+)")


def common(engine: bytes, ours: bytes) -> frozenset[str]:
    """Names that are pinned to the same versions in both, whatever their markers say.

    A name with several versions, for different Pythons, counts when all of the engine's are ours.
    """
    mine, theirs = _versions(ours), _versions(engine)
    return frozenset(name for name, found in theirs.items() if found <= mine.get(name, set()))


def without(requirements: bytes, names: frozenset[str]) -> bytes:
    """The requirements but for these names, each with its hashes."""
    kept = (block for name, _, block in _pinned(requirements) if name not in names)
    return b"".join(kept)


def _versions(requirements: bytes) -> Mapping[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, version, _ in _pinned(requirements):
        found.setdefault(name, set()).add(version)
    return found


def _pinned(requirements: bytes) -> Iterator[tuple[str, str, bytes]]:
    """Name, version and whole text of each requirement; its hashes are on indented lines."""
    for block in re.split(rb"^(?=\S)", requirements, flags=re.MULTILINE):
        if match := _PINNED.match(block):
            yield match[1].decode(), match[2].decode(), block
