"""A ring of points, many per replica, so that few keys move when a replica comes or goes."""

from bisect import bisect
from collections.abc import Collection, Iterator
from hashlib import blake2b
from typing import Final

POINTS_PER_REPLICA: Final = 256


def point_of(text: str) -> int:
    """Where a text lies on the ring: the same in every process."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())


class HashRing:
    """The points of the replicas that it was last told to keep."""

    def __init__(self) -> None:
        self._members: frozenset[str] = frozenset()
        self._points: list[int] = []
        self._owners: list[str] = []

    def keep(self, names: Collection[str]) -> None:
        """Have points for exactly these replicas."""
        members = frozenset(names)
        if members == self._members:
            return
        self._members = members
        ring = sorted(
            (point_of(f"{name}/{number}"), name)
            for name in members
            for number in range(POINTS_PER_REPLICA)
        )
        self._points = [point for point, _ in ring]
        self._owners = [name for _, name in ring]

    def walk(self, key: str) -> Iterator[str]:
        """Each replica once, in the order in which they lie after the key."""
        start = bisect(self._points, point_of(key))
        seen: set[str] = set()
        for offset in range(len(self._owners)):
            name = self._owners[(start + offset) % len(self._owners)]
            if name not in seen:
                seen.add(name)
                yield name
