"""Whatever happens to an index, it answers as a fresh one over the same tools."""

import threading
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flagscale_workloads.agent import Filter, StaticEncoder, Tool, ToolMatcher
from flagscale_workloads.agent.tool_match import snapshot

WORDS = ("read", "write", "file", "mail", "weather", "city", "money", "天气", "user_id")
ENCODER = StaticEncoder()
QUERY = "read the weather file and then mail it to the city"

texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map(" ".join)
tools = st.builds(
    lambda number, text, place, examples, healthy: Tool.create(
        f"tool{number}",
        text,
        namespace=place,
        category=place,
        examples=examples,
        healthy=healthy,
        access=frozenset({place}) if number % 2 else frozenset(),
    ),
    st.integers(0, 12),
    texts,
    st.sampled_from(("a", "b")),
    st.lists(texts, max_size=4).map(tuple),
    st.booleans(),
)
changes = st.lists(st.tuples(st.lists(tools, max_size=4), st.lists(tools, max_size=3)), max_size=6)
filters = st.builds(
    Filter,
    namespaces=st.sampled_from((frozenset(), frozenset({"a"}))),
    also=st.frozensets(st.sampled_from(("b//tool1", "b//tool2", "a//tool3", "none")), max_size=2),
    categories=st.sampled_from((frozenset(), frozenset({"b"}))),
    subjects=st.sampled_from((None, frozenset(), frozenset({"a"}))),
    only_healthy=st.booleans(),
)


def matcher_of(some: Iterable[Tool]) -> ToolMatcher:
    return ToolMatcher(some, encoders={"static": ENCODER}, deadline_s=30)


def scores(matcher: ToolMatcher, where: Filter, k: int = 100) -> dict[str, float]:
    found = matcher.match_tools(QUERY, k, where=where, min_confidence=0)
    return {hit.tool.key: hit.score for hit in found.hits}


def allowed(tool: Tool, where: Filter) -> bool:
    return (
        (
            not (where.namespaces or where.also)
            or tool.namespace in where.namespaces
            or tool.key in where.also
        )
        and (not where.categories or tool.category in where.categories)
        and (where.subjects is None or not tool.access or bool(tool.access & where.subjects))
        and (tool.healthy or not where.only_healthy)
    )


@settings(max_examples=30, deadline=None)
@given(changes=changes, where=filters, merge_rows=st.sampled_from((0, 3, 512)))
def test_an_index_grown_by_changes_scores_as_one_built_at_once(
    changes: list[tuple[list[Tool], list[Tool]]], where: Filter, merge_rows: int
) -> None:
    grown, left = matcher_of(()), dict[str, Tool]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshot, "MERGE_ROWS", merge_rows)
        for upserts, gone in changes:
            keys = {tool.key for tool in gone} - {tool.key for tool in upserts}
            grown.update(upsert=upserts, remove=keys)
            left.update((tool.key, tool) for tool in upserts)
            left = {key: tool for key, tool in left.items() if key not in keys}
    built = matcher_of(left.values())

    assert len(grown) == len(left)
    assert {key: grown.get(key) for key in left} == left
    assert scores(grown, where) == pytest.approx(scores(built, where), abs=1e-5)
    grown.close()
    built.close()


@settings(max_examples=30, deadline=None)
@given(some=st.lists(tools, max_size=20), where=filters, k=st.integers(1, 5))
def test_filters_come_before_the_cut(some: list[Tool], where: Filter, k: int) -> None:
    matcher = matcher_of(some)
    last = {tool.key: tool for tool in some}
    visible = {key for key, tool in last.items() if allowed(tool, where)}

    found = scores(matcher, where, k)

    assert set(found) <= visible
    assert len(found) == min(k, len(visible))
    matcher.close()


@settings(max_examples=30, deadline=None)
@given(some=st.lists(tools, max_size=12), query=st.text(min_size=1, max_size=60))
def test_any_text_is_answered_in_bounds(some: list[Tool], query: str) -> None:
    matcher = matcher_of(some)
    try:
        found = matcher.match_tools(query, 5, min_confidence=0).hits
    except ValueError as problem:
        assert "needs at least a word" in str(problem)  # noqa: PT017
    else:
        assert all(0 <= hit.score <= 1.0001 and 0 <= hit.confidence <= 1 for hit in found)
        assert [hit.score for hit in found] == sorted((h.score for h in found), reverse=True)
    matcher.close()


def test_an_answer_is_of_one_snapshot_while_the_index_changes() -> None:
    """Two tools are always replaced together: no answer may mix their versions."""
    pair = [Tool.create(name, "read a file version 0") for name in ("one", "two")]
    matcher = matcher_of(pair)
    matcher.cache_management(results=0)
    done = threading.Event()

    def write() -> None:
        for version in range(1, 101):
            matcher.update(
                upsert=[replace(t, description=f"read a file version {version}") for t in pair]
            )
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = set()
    while not done.is_set():
        hits = matcher.match_tools("read a file", 2, min_confidence=0).hits
        assert len(hits) == 2
        assert len({hit.tool.description for hit in hits}) == 1
        seen.add(hits[0].tool.description)
    writer.join()
    assert matcher.generation == 101
    assert matcher.match_tools("read a file", 2, min_confidence=0).generation == 101
    assert seen
    matcher.close()


def test_a_removed_tool_is_gone_with_the_next_query() -> None:
    tool = Tool.create("gone", "read a file")
    matcher = matcher_of([tool])
    matcher.update(remove=[tool.key])
    assert (len(matcher), scores(matcher, Filter())) == (0, {})
    matcher.close()
