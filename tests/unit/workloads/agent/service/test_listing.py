import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagscale_workloads.agent.service.entries import Entry, entry_of
from flagscale_workloads.agent.service.errors import ServiceError
from flagscale_workloads.agent.service.listing import page, place


def entry(name: str, server: str) -> Entry:
    metadata = {"name": name, "namespace": "team"}
    return entry_of(
        {"metadata": metadata, "spec": {"description": "x", "server": server}}, judged=False
    )


names = st.lists(
    st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(["s1", "s2"])), unique=True, max_size=12
)


@given(names, st.integers(1, 5))
def test_pages_together_are_the_list_in_order(ids: list[tuple[str, str]], limit: int) -> None:
    entries = [entry(*one) for one in ids]
    seen, cursor = [], ""
    while True:
        found, cursor = page(entries, cursor, limit)
        assert len(found) <= limit
        seen += found
        if not cursor:
            break
    assert seen == sorted(entries, key=place)


def test_a_tool_that_goes_between_pages_moves_nothing() -> None:
    entries = [entry(name, "s") for name in "abcd"]
    first, cursor = page(entries, "", 2)
    rest, _ = page(entries[2:], cursor, 2)
    assert [one.name for one in (*first, *rest)] == ["a", "b", "c", "d"]


@pytest.mark.parametrize("cursor", ["x", "bm9wZQ==", "WzEsMl0="])
def test_a_foreign_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(ServiceError, match="cursor: not one of ours"):
        page([], cursor, 5)
