"""Load balancing: which of the replicas that may get a request gets it."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Protocol, TypeVar

from flagscale_api.runtime.serve import RoutingSpec
from flagscale_workloads.serve.hash_ring import HashRing
from flagscale_workloads.serve.prefix_index import PrefixIndex


@dataclass(frozen=True, slots=True)
class RouteKey:
    """What of a request decides where it goes."""

    session: str = ""
    """Value of the hash header; empty: none."""
    blocks: tuple[int, ...] = ()
    """Chained hashes of the prompt's blocks; see `prefix_index.block_hashes`."""


class Candidate(Protocol):
    """What a policy knows of a replica."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def outstanding(self) -> int:
        """Requests that it works on."""


C = TypeVar("C", bound=Candidate)


class Policy(Protocol):
    """Chooses among at least one candidate; told of removed replicas."""

    def choose(self, candidates: Sequence[C], key: RouteKey) -> C:
        """One of them."""

    def removed(self, name: str) -> None:
        """Forget a replica."""


class RoundRobin:
    """Each in turn."""

    def __init__(self) -> None:
        self._turn = 0

    def choose(self, candidates: Sequence[C], _: RouteKey) -> C:
        """The next one."""
        self._turn += 1
        return candidates[self._turn % len(candidates)]

    def removed(self, name: str) -> None:
        """Nothing is kept."""


class LeastOutstanding:
    """The one with the fewest running requests; equals take turns."""

    def __init__(self) -> None:
        self._turn = 0

    def choose(self, candidates: Sequence[C], _: RouteKey) -> C:
        """The least loaded."""
        self._turn += 1
        start = self._turn % len(candidates)
        rotated = (*candidates[start:], *candidates[:start])
        return min(rotated, key=lambda candidate: candidate.outstanding)

    def removed(self, name: str) -> None:
        """Nothing is kept."""


class PowerOfTwo:
    """The less loaded of two drawn at random (Mitzenmacher 2001)."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def choose(self, candidates: Sequence[C], _: RouteKey) -> C:
        """The better of two."""
        first = self._rng.choice(candidates)
        second = self._rng.choice(candidates)
        return second if second.outstanding < first.outstanding else first

    def removed(self, name: str) -> None:
        """Nothing is kept."""


class ConsistentHash:
    """Consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam 2016).

    Clockwise from the key's point, the first replica whose load with this request stays within
    `load_factor` times the mean. Requests without a session go by their prompt's first blocks.
    """

    def __init__(self, load_factor: float) -> None:
        self._load_factor = load_factor
        self._ring = HashRing()

    def choose(self, candidates: Sequence[C], key: RouteKey) -> C:
        """The first on the ring that has room."""
        by_name = {candidate.name: candidate for candidate in candidates}
        self._ring.keep(by_name)
        mean = (sum(c.outstanding for c in candidates) + 1) / len(candidates)
        bound = ceil(self._load_factor * mean)
        point = key.session or str(key.blocks[0] if key.blocks else "")
        for name in self._ring.walk(point):
            if by_name[name].outstanding + 1 <= bound:
                return by_name[name]
        return min(candidates, key=lambda candidate: candidate.outstanding)

    def removed(self, name: str) -> None:
        """Its points leave the ring with the next choice."""


class PrefixAware:
    """The replica that has most of the prompt in its cache, unless it is too busy.

    As in SGLang's cache-aware router: a match of at least `match_threshold` of the prompt decides;
    with a wider gap than `imbalance_requests` between the busiest and the idlest, or without a
    match, the least loaded is taken. What a replica has seen is estimated from what it was sent.
    """

    def __init__(self, *, match_threshold: float, imbalance_requests: int) -> None:
        self._match_threshold = match_threshold
        self._imbalance = imbalance_requests
        self._index = PrefixIndex()
        self._least = LeastOutstanding()

    def choose(self, candidates: Sequence[C], key: RouteKey) -> C:
        """The best match, or the least loaded."""
        chosen = self._best_match(candidates, key) or self._least.choose(candidates, key)
        self._index.insert(chosen.name, key.blocks)
        return chosen

    def _best_match(self, candidates: Sequence[C], key: RouteKey) -> C | None:
        loads = [candidate.outstanding for candidate in candidates]
        if not key.blocks or max(loads) - min(loads) > self._imbalance:
            return None
        matches = [self._index.match(c.name, key.blocks) for c in candidates]
        best = max(matches)
        if best < max(1, self._match_threshold * len(key.blocks)):
            return None
        holders = [c for c, matched in zip(candidates, matches, strict=True) if matched == best]
        return self._least.choose(holders, key)

    def removed(self, name: str) -> None:
        """A replica that comes back has an empty cache."""
        self._index.remove(name)


def make_policy(spec: RoutingSpec, *, rng: random.Random) -> Policy:
    """The policy that a configuration names."""
    made: dict[str, Callable[[], Policy]] = {
        "roundRobin": RoundRobin,
        "leastOutstanding": LeastOutstanding,
        "powerOfTwo": lambda: PowerOfTwo(rng),
        "consistentHash": lambda: ConsistentHash(spec.load_factor),
        "prefixAware": lambda: PrefixAware(
            match_threshold=spec.match_threshold, imbalance_requests=spec.imbalance_requests
        ),
    }
    return made[spec.policy]()
