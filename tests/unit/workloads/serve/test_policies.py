import random
from collections import Counter
from dataclasses import dataclass
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagscale_api.runtime.serve import Policy as PolicyName
from flagscale_api.runtime.serve import RoutingSpec
from flagscale_workloads.serve.policies import (
    ConsistentHash,
    LeastOutstanding,
    PowerOfTwo,
    PrefixAware,
    RoundRobin,
    RouteKey,
    make_policy,
)
from flagscale_workloads.serve.prefix_index import BLOCK_CHARACTERS, PrefixIndex, block_hashes


@dataclass
class Load:
    name: str
    outstanding: int = 0


def loads(*outstanding: int) -> list[Load]:
    return [Load(f"r{number}", load) for number, load in enumerate(outstanding)]


def prompt(beginning: str, blocks: int = 10) -> RouteKey:
    return RouteKey(blocks=block_hashes((beginning * BLOCK_CHARACTERS)[:BLOCK_CHARACTERS] * blocks))


@pytest.mark.parametrize("name", get_args(PolicyName))
@given(outstanding=st.lists(st.integers(0, 50), min_size=1, max_size=8), seed=st.integers(0, 99))
def test_every_policy_chooses_a_candidate(name: str, outstanding: list[int], seed: int) -> None:
    policy = make_policy(RoutingSpec(policy=name), rng=random.Random(seed))
    candidates = loads(*outstanding)

    for key in (RouteKey(), RouteKey(session="a"), prompt("x")):
        assert policy.choose(candidates, key) in candidates


def test_round_robin_gives_each_the_same() -> None:
    policy, candidates = RoundRobin(), loads(9, 0, 5)

    chosen = Counter(policy.choose(candidates, RouteKey()).name for _ in range(30))

    assert set(chosen.values()) == {10}


def test_least_outstanding_takes_the_idlest_and_lets_equals_take_turns() -> None:
    policy = LeastOutstanding()

    assert policy.choose(loads(3, 1, 2), RouteKey()).name == "r1"
    equals = Counter(policy.choose(loads(1, 1, 1), RouteKey()).name for _ in range(30))
    assert set(equals.values()) == {10}


def test_power_of_two_prefers_the_idle_but_still_uses_the_others() -> None:
    policy, candidates = PowerOfTwo(random.Random(1)), loads(0, 10, 10, 10)

    chosen = Counter(policy.choose(candidates, RouteKey()).name for _ in range(400))

    assert chosen["r0"] > 120
    assert len(chosen) == 4


@given(st.lists(st.text(max_size=8), min_size=1, max_size=200))
def test_consistent_hash_keeps_every_load_within_its_bound(sessions: list[str]) -> None:
    policy, candidates = ConsistentHash(1.25), loads(0, 0, 0, 0)

    for placed, session in enumerate(sessions, start=1):
        policy.choose(candidates, RouteKey(session=session)).outstanding += 1
        assert max(c.outstanding for c in candidates) <= 1.25 * placed / 4 + 1


def test_consistent_hash_moves_few_sessions_when_a_replica_leaves() -> None:
    policy, candidates = ConsistentHash(10), loads(0, 0, 0, 0)
    keys = [RouteKey(session=str(number)) for number in range(400)]

    before = [policy.choose(candidates, key).name for key in keys]
    after = [policy.choose(candidates[:3], key).name for key in keys]

    moved = sum(a != b for a, b in zip(before, after, strict=True))
    assert moved == before.count("r3")
    assert 50 < moved < 150


def test_prefix_aware_returns_to_the_replica_that_saw_the_prompt() -> None:
    policy, candidates = PrefixAware(match_threshold=0.3, imbalance_requests=8), loads(0, 0, 0)
    first = policy.choose(candidates, prompt("a"))

    again = {policy.choose(candidates, prompt("a")).name for _ in range(10)}

    assert again == {first.name}


def test_prefix_aware_escapes_from_an_overloaded_replica() -> None:
    policy, candidates = PrefixAware(match_threshold=0.3, imbalance_requests=8), loads(0, 0, 0)
    holder = policy.choose(candidates, prompt("a"))

    holder.outstanding = 8
    assert policy.choose(candidates, prompt("a")) is holder
    holder.outstanding = 9
    assert policy.choose(candidates, prompt("a")) is not holder


def test_prefix_aware_forgets_a_removed_replica() -> None:
    policy, candidates = PrefixAware(match_threshold=0.3, imbalance_requests=8), loads(0, 0)
    holder = policy.choose(candidates, prompt("a"))

    policy.removed(holder.name)
    holder.outstanding = 1

    assert policy.choose(candidates, prompt("a")) is not holder


@given(st.text(max_size=2000), st.text(max_size=2000))
def test_prompts_share_as_many_blocks_as_their_common_beginning_holds(one: str, two: str) -> None:
    common = next((i for i, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), None)
    shared = min(len(one), len(two)) if common is None else common

    first, second = block_hashes(one), block_hashes(two)
    same = next((i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), None)

    assert (min(len(first), len(second)) if same is None else same) == shared // BLOCK_CHARACTERS


def test_the_prefix_index_is_bounded_and_drops_the_oldest() -> None:
    index = PrefixIndex(blocks_per_replica=4)

    index.insert("r", (1, 2, 3))
    index.insert("r", (4, 5, 6))

    assert index.match("r", (1, 2, 3)) == 0
    assert index.match("r", (4, 5, 6, 7)) == 3
