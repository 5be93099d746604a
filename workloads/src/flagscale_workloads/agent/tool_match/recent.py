"""A bounded cache of what was used last."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

V = TypeVar("V")


class Recent(Generic[V]):
    """Least recently used entries go first; hits and misses are counted."""

    def __init__(self, capacity: int) -> None:
        self._entries: OrderedDict[Hashable, V] = OrderedDict()
        self._lock = threading.Lock()
        self._capacity = capacity
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Hashable) -> V | None:
        """The entry, now the most recent one."""
        with self._lock:
            found = self._entries.get(key)
            if found is None:
                self.misses += 1
            else:
                self.hits += 1
                self._entries.move_to_end(key)
            return found

    def put(self, key: Hashable, value: V) -> None:
        """Keep an entry."""
        with self._lock:
            self._entries[key] = value
            self._entries.move_to_end(key)
            self._trim()

    def resize(self, capacity: int) -> None:
        """Keep at most so many; 0 turns the cache off."""
        with self._lock:
            self._capacity = capacity
            self._trim()

    def clear(self) -> None:
        """Forget all entries; the counts stay."""
        with self._lock:
            self._entries.clear()

    def _trim(self) -> None:
        while len(self._entries) > self._capacity:
            self._entries.popitem(last=False)
