from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagscale_workloads.agent import Filter, StaticEncoder, Tool, ToolMatcher
from flagscale_workloads.agent.tool_match.categories import Category

LABELLED = (
    Tool.create("read_file", "Return the content of a file", category="files"),
    Tool.create("write_file", "Save text to a file", category="files"),
    Tool.create("get_weather", "Weather forecast for a city", category="weather"),
    Tool.create("rain_radar", "Where it rains: weather map of a city", category="weather"),
)
STRAY = Tool.create("delete_file", "Remove a file for ever")
STATIC = StaticEncoder()
NEAREST = -1.0
"""However far it is."""


def test_a_tool_without_category_gets_that_of_its_neighbours() -> None:
    matcher = ToolMatcher([*LABELLED, STRAY], encoders={"static": StaticEncoder()}, deadline_s=10)
    assert matcher.learn_categories() == {STRAY.key: "files"}
    assert matcher.categories() == (Category("files", 3, 1), Category("weather", 2, 0))

    where = Filter(categories=frozenset({"files"}))
    found = matcher.match_tools("delete a file", 5, where=where, min_confidence=0).hits
    assert found[0].tool.name == "delete_file"
    assert len(found) == 3
    matcher.close()


def test_what_is_far_from_all_stays_without() -> None:
    matcher = ToolMatcher([*LABELLED, STRAY], encoders={"static": StaticEncoder()})
    assert matcher.learn_categories(min_similarity=0.99) == {}
    matcher.close()


def moved(category: str) -> list[Tool]:
    """The tools of files, in another category."""
    return [replace(tool, category=category) for tool in LABELLED if tool.category == "files"]


def learned() -> ToolMatcher:
    """The stray tool is among the files."""
    matcher = ToolMatcher([*LABELLED, STRAY], encoders={"static": StaticEncoder()})
    matcher.learn_categories()
    return matcher


def test_what_was_learned_follows_its_neighbours() -> None:
    matcher = learned()
    matcher.update(upsert=moved("documents"))
    assert matcher.learn_categories() == {STRAY.key: "documents"}
    matcher.update(upsert=[replace(STRAY, description="Remove a file for good")])
    assert matcher.learn_categories() == {}

    matcher.update(remove=[tool.key for tool in LABELLED])
    assert matcher.learn_categories() == {STRAY.key: ""}
    assert matcher.categories() == ()
    matcher.close()


@pytest.mark.parametrize("name", ["files", "weather"])
def test_what_was_assigned_stays_whatever_neighbours_do(name: str) -> None:
    matcher = learned()
    matcher.assign_category([STRAY.key], name)
    matcher.update(upsert=moved("documents"))
    assert matcher.learn_categories() == {}
    assert matcher.category(STRAY.key) == name
    matcher.close()


@given(st.permutations([*LABELLED, STRAY, Tool.create("sun_hours", "Sunny weather of a city")]))
def test_what_is_learned_does_not_depend_on_the_order(tools: Sequence[Tool]) -> None:
    """As two replicas see it: one by one, and all at once."""
    slow, fast = (ToolMatcher(encoders={"static": STATIC}) for _ in range(2))
    for tool in tools:
        slow.update(upsert=[tool])
        slow.learn_categories(NEAREST)
    fast.update(upsert=[*LABELLED, *tools])
    fast.learn_categories(NEAREST)
    assert {t.key: slow.category(t.key) for t in tools} == {
        t.key: fast.category(t.key) for t in tools
    }
    slow.close()
    fast.close()


def test_categories_are_assigned_renamed_and_merged() -> None:
    matcher = ToolMatcher([*LABELLED, STRAY], encoders={})
    matcher.assign_category([STRAY.key], "danger")
    assert Category("danger", 1, 1) in matcher.categories()
    assert matcher.rename_category("danger", "files") == 1
    assert Category("files", 3, 1) in matcher.categories()

    matcher.update(upsert=[STRAY])
    assert Category("files", 3, 1) in matcher.categories()
    matcher.assign_category([STRAY.key], "")
    assert Category("files", 2, 0) in matcher.categories()


def test_without_vectors_nothing_is_learned() -> None:
    assert ToolMatcher([*LABELLED, STRAY], encoders={}).learn_categories() == {}


def test_a_removed_category_is_gone_also_where_it_is_the_tools_own() -> None:
    matcher = ToolMatcher([*LABELLED, STRAY], encoders={})
    matcher.assign_category([STRAY.key], "files")
    assert matcher.remove_category("files") == 3
    assert matcher.categories() == (Category("weather", 2, 0),)
    where = Filter(categories=frozenset({"files"}))
    assert matcher.match_tools("read a file", where=where, min_confidence=0).hits == ()

    matcher.update(upsert=LABELLED)
    assert matcher.categories() == (Category("weather", 2, 0),)
    matcher.assign_category([LABELLED[0].key], "")
    assert matcher.category(LABELLED[0].key) == "files"


def test_an_unknown_category_moves_nothing() -> None:
    matcher = ToolMatcher([*LABELLED, STRAY], encoders={})
    before = matcher.generation
    assert matcher.remove_category("") == matcher.remove_category("none") == 0
    assert matcher.rename_category("", "files") == 0
    assert matcher.rename_category("files", "files") == 0
    assert matcher.generation == before


def test_a_name_is_cleaned_like_that_of_a_tool() -> None:
    matcher = ToolMatcher([*LABELLED, STRAY], encoders={})
    matcher.assign_category([STRAY.key], " fi\u200bles\n")
    assert matcher.category(STRAY.key) == Tool.create("x", category=" fi\u200bles\n").category


@pytest.mark.parametrize("name", ["\n\u200b", "x" * 257])
def test_a_name_without_bounds_is_refused(name: str) -> None:
    matcher = ToolMatcher([*LABELLED, STRAY], encoders={})
    before = matcher.categories()
    with pytest.raises(ValueError, match="category: must be 1 to 256 characters, got "):
        matcher.assign_category([STRAY.key], name)
    with pytest.raises(ValueError, match="category: must be 1 to 256 characters, got "):
        matcher.rename_category("files", name)
    assert matcher.categories() == before
