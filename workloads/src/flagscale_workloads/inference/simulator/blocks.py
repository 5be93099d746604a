"""The KV cache in blocks of 16 tokens; full blocks stay for prompts with the same beginning."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

BLOCK_TOKENS: Final = 16


def chained_hashes(tokens: Sequence[str]) -> tuple[int, ...]:
    """One hash per full block, of all tokens up to its end."""
    hashes: list[int] = []
    previous = 0
    for end in range(BLOCK_TOKENS, len(tokens) + 1, BLOCK_TOKENS):
        previous = hash((previous, *tokens[end - BLOCK_TOKENS : end]))
        hashes.append(previous)
    return tuple(hashes)


def blocks_for(tokens: int) -> int:
    """Blocks that hold so many tokens."""
    return -(-tokens // BLOCK_TOKENS)


@dataclass(slots=True)
class Lease:
    """Blocks of one sequence: the first ones shared by their hash, the others its own."""

    shared: list[int] = field(default_factory=list)
    own: int = 0


class BlockPool:
    """A finite number of blocks; those that nobody uses go in the order of their last use."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._users: dict[int, int] = {}
        self._idle: OrderedDict[int, None] = OrderedDict()
        self._blank = total

    @property
    def used(self) -> int:
        """Blocks that running sequences hold."""
        return self.total - self._blank - len(self._idle)

    def lease(self, hashes: Sequence[int], blocks: int) -> Lease | None:
        """`blocks` blocks, of which the first are found by their hash; None if too few are free."""
        found = self._found(hashes)
        fresh = blocks - len(found)
        idle_found = sum(h in self._idle for h in found)
        if fresh > self._blank + len(self._idle) - idle_found:
            return None
        for block in found:
            self._use(block)
        self._take(fresh)
        return Lease(found, fresh)

    def publish(self, lease: Lease, hashes: Sequence[int]) -> None:
        """The sequence has computed the blocks with these hashes: others may share them."""
        for block in hashes[len(lease.shared) :]:
            lease.own -= 1
            if block in self._users or block in self._idle:
                # Another sequence was first; one copy is enough.
                self._use(block)
                self._blank += 1
            else:
                self._users[block] = 1
            lease.shared.append(block)

    def release(self, lease: Lease) -> None:
        """The sequence is over; its shared blocks stay until their place is needed."""
        self._blank += lease.own
        # The end of a sequence is the first to go: a beginning serves more prompts.
        for block in reversed(lease.shared):
            self._users[block] -= 1
            if not self._users[block]:
                del self._users[block]
                self._idle[block] = None
        lease.shared, lease.own = [], 0

    def _found(self, hashes: Sequence[int]) -> list[int]:
        found: list[int] = []
        for block in hashes:
            if block not in self._users and block not in self._idle:
                break
            found.append(block)
        return found

    def _use(self, block: int) -> None:
        self._idle.pop(block, None)
        self._users[block] = self._users.get(block, 0) + 1

    def _take(self, count: int) -> None:
        blank = min(count, self._blank)
        self._blank -= blank
        for _ in range(count - blank):
            self._idle.popitem(last=False)
