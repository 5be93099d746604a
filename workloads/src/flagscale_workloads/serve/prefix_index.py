"""Which replica has seen which beginnings of prompts: chained block hashes, bounded, LRU."""

from collections.abc import Sequence
from typing import Final

BLOCK_CHARACTERS: Final = 128
PROMPT_LIMIT_CHARACTERS: Final = 65_536
# As many as llm-d keeps per pod; about 4 MiB each replica.
BLOCKS_PER_REPLICA: Final = 31_250


def block_hashes(text: str) -> tuple[int, ...]:
    """One hash per whole block of the prompt; each covers everything before it, too."""
    hashes: list[int] = []
    chained = 0
    length = min(len(text), PROMPT_LIMIT_CHARACTERS)
    for start in range(0, length - BLOCK_CHARACTERS + 1, BLOCK_CHARACTERS):
        chained = hash((chained, text[start : start + BLOCK_CHARACTERS]))
        hashes.append(chained)
    return tuple(hashes)


class PrefixIndex:
    """Per replica, the blocks it was sent, most recent last."""

    def __init__(self, *, blocks_per_replica: int = BLOCKS_PER_REPLICA) -> None:
        self._limit = blocks_per_replica
        self._seen: dict[str, dict[int, None]] = {}

    def match(self, name: str, blocks: Sequence[int]) -> int:
        """How many blocks from the beginning on the replica has seen."""
        seen = self._seen.get(name)
        if not seen:
            return 0
        for number, block in enumerate(blocks):
            if block not in seen:
                return number
        return len(blocks)

    def insert(self, name: str, blocks: Sequence[int]) -> None:
        """The replica gets a prompt with these blocks."""
        seen = self._seen.setdefault(name, {})
        for block in blocks:
            seen.pop(block, None)
            seen[block] = None
        while len(seen) > self._limit:
            del seen[next(iter(seen))]

    def remove(self, name: str) -> None:
        """Forget a replica."""
        self._seen.pop(name, None)
