from hypothesis import given
from hypothesis import strategies as st

from flagscale_workloads.inference.simulator.blocks import (
    BLOCK_TOKENS,
    BlockPool,
    Lease,
    blocks_for,
    chained_hashes,
)
from flagscale_workloads.inference.simulator.tokens import tokenize


def words(count: int, start: int = 0) -> list[str]:
    return [f"w{i}" for i in range(start, start + count)]


@given(st.text(max_size=200))
def test_tokens_joined_are_the_text(text: str) -> None:
    assert "".join(tokenize(text)) == text


def test_a_hash_covers_all_that_is_before_it() -> None:
    one, other = chained_hashes(words(48)), chained_hashes(["x", *words(47, start=1)])
    assert len(one) == 3
    assert not set(one) & set(other)
    assert chained_hashes(words(40)) == one[:2]


def test_what_one_sequence_computed_the_next_one_finds() -> None:
    pool, hashes = BlockPool(10), chained_hashes(words(64))
    first = pool.lease(hashes, 5)
    assert first is not None
    assert first.shared == []
    pool.publish(first, hashes)
    second = pool.lease(hashes, 5)
    assert second is not None
    assert second.shared == list(hashes)
    assert pool.used == 6


def test_the_least_recently_used_blocks_go_first() -> None:
    pool = BlockPool(4)
    old, new = chained_hashes(words(32)), chained_hashes(words(32, start=100))
    for hashes in (old, new, old):
        lease = pool.lease(hashes, 2)
        assert lease is not None
        pool.publish(lease, hashes)
        pool.release(lease)
    taken = pool.lease((), 2)
    assert taken is not None
    again = pool.lease(old, 2)
    assert again is not None
    assert again.shared == list(old)


def test_a_lease_that_does_not_fit_changes_nothing() -> None:
    pool, hashes = BlockPool(4), chained_hashes(words(32))
    lease = pool.lease(hashes, 2)
    assert lease is not None
    pool.publish(lease, hashes)
    pool.release(lease)
    assert pool.lease(hashes, 5) is None
    assert pool.used == 0


@given(
    st.integers(1, 12),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 100), st.booleans()), max_size=40),
)
def test_no_block_is_lost_or_held_twice(total: int, moves: list[tuple[int, int, bool]]) -> None:
    pool = BlockPool(total)
    held: list[Lease] = []
    for family, tokens, ends in moves:
        hashes = chained_hashes(words(tokens, start=1000 * family))
        lease = pool.lease(hashes, blocks_for(tokens))
        if lease is not None:
            pool.publish(lease, hashes[: tokens // BLOCK_TOKENS])
            held.append(lease)
        distinct = {block for one in held for block in one.shared}
        assert pool.used == len(distinct) + sum(one.own for one in held) <= total
        if ends and held:
            pool.release(held.pop(0))
    for lease in held:
        pool.release(lease)
    assert pool.used == 0
    assert pool.lease((), total) is not None
