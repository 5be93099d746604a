import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flagscale_workloads.agent.tool_match.packed import Packed
from flagscale_workloads.agent.tool_match.views import Vectors, unit


def some(rows: int, length: int, seed: int) -> Vectors:
    drawn = np.random.default_rng(seed).standard_normal((rows, length))
    return unit(drawn.astype(np.float32))


@given(st.integers(0, 70), st.integers(1, 7), st.sampled_from([128, 384]), st.integers(0, 99))
def test_products_of_bytes_are_near_those_of_floats(n: int, m: int, length: int, seed: int) -> None:
    rows, queries = some(n, length, seed), some(m, length, seed + 1)
    found = Packed.of(rows).products(queries)
    assert found.shape == (m, n)
    assert np.abs(found - queries @ rows.T).max(initial=0.0) < 0.005


@given(st.integers(2, 50), st.integers(0, 99))
def test_a_row_scores_the_same_wherever_it_lies(n: int, seed: int) -> None:
    rows, query = some(n, 384, seed), some(1, 384, seed + 1)
    whole = Packed.of(rows).products(query)[0]
    assert np.array_equal(whole[1:], Packed.of(rows[1:]).products(query)[0])
    assert np.array_equal(whole[::-1], Packed.of(rows[::-1]).products(query)[0])


def test_a_vector_of_zeros_is_near_nothing() -> None:
    assert not Packed.of(np.zeros((3, 128), np.float32)).products(some(2, 128, 1)).any()
