from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagscale_workloads.agent.service.catalogue import Catalogue
from flagscale_workloads.agent.service.entries import Version
from flagscale_workloads.agent.tool_match.tool import Tool


class Index:
    def __init__(self) -> None:
        self.tools: dict[str, Version] = {}
        self.changes = 0

    def put(self, tool: Tool, version: Version) -> None:
        self.changes += 1
        self.tools[tool.key] = version

    def remove(self, key: str) -> None:
        self.changes += 1
        self.tools.pop(key, None)


def body(own: str, *, created: str = "2026-01-01", generation: int = 1, **spec: Any) -> Any:
    return {
        "metadata": {
            "name": own,
            "namespace": "team",
            "uid": f"u-{own}",
            "generation": generation,
            "creationTimestamp": created,
        },
        "spec": {"description": "Does something.", **spec},
    }


@pytest.fixture
def index() -> Index:
    return Index()


@pytest.fixture
def catalogue(index: Index) -> Catalogue:
    return Catalogue(index, judged=True)


def test_what_did_not_change_is_not_indexed_again(catalogue: Catalogue, index: Index) -> None:
    catalogue.put(body("a"))
    catalogue.put({**body("a"), "status": {"calls": 7}})
    assert index.changes == 1


def test_of_equal_names_the_older_has_the_tool(catalogue: Catalogue, index: Index) -> None:
    catalogue.put(body("late", created="2026-02-01", name="x"))
    catalogue.put(body("early", name="x"))
    assert index.tools == {"team//x": ("u-early", 1)}
    (problem,) = catalogue.problems()
    assert problem.version == ("u-late", 1)
    assert "is that of AgentTool early" in problem.message

    catalogue.remove(body("early"))
    assert index.tools == {"team//x": ("u-late", 1)}
    assert list(catalogue.problems()) == []


def test_a_broken_object_takes_its_tool_out_and_says_why(
    catalogue: Catalogue, index: Index
) -> None:
    catalogue.put(body("a"))
    catalogue.put(body("a", generation=2, descriptio="typo"))
    assert index.tools == {}
    (problem,) = catalogue.problems()
    assert problem.version == ("u-a", 2)
    assert "spec.descriptio" in problem.message


def test_a_list_removes_what_it_lacks(catalogue: Catalogue, index: Index) -> None:
    catalogue.replace([body("a"), body("b")])
    catalogue.replace([body("b")])
    assert set(index.tools) == {"team//b"}
    assert {k: set(v) for k, v in catalogue.names().items()} == {"team": {"b"}}


def test_shared_tools_are_known_as_they_change(catalogue: Catalogue) -> None:
    catalogue.put(body("a", sharing="cluster"))
    assert catalogue.shared() == {("team", "a")}
    catalogue.put(body("a", generation=2))
    assert catalogue.shared() == frozenset()


DRIFTED = {"type": "SchemaDrifted", "status": "True", "message": "parameters changed"}


@pytest.mark.parametrize(
    ("status", "blocked"),
    [
        ({}, ""),
        ({"conditions": [DRIFTED]}, "parameters changed"),
        ({"pinnedDigest": "sha256:1", "observedGeneration": 1}, "has not compared it yet"),
        ({"pinnedDigest": "sha256:1", "observedGeneration": 2}, ""),
    ],
)
def test_calls_wait_for_the_operators_verdict(
    catalogue: Catalogue, status: dict[str, Any], blocked: str
) -> None:
    catalogue.put({**body("a", generation=2), "status": status})
    entry = catalogue.get("team", "a")
    assert entry
    assert blocked in entry.blocked
    assert bool(entry.blocked) == bool(blocked)


def test_an_unreachable_tool_is_not_healthy_and_a_refused_one_not_found(
    catalogue: Catalogue, index: Index
) -> None:
    gone = {"conditions": [{"type": "Reachable", "status": "False"}]}
    catalogue.put({**body("a"), "status": gone})
    entry = catalogue.get("team", "a")
    assert entry
    assert not entry.tool.healthy
    refused = {"type": "Accepted", "status": "False", "message": "name: taken"}
    catalogue.put({**body("a"), "status": {"observedGeneration": 1, "conditions": [refused]}})
    assert index.tools == {}


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"), st.sampled_from(["x", "y"]), st.sampled_from(["put", "remove"])
        )
    )
)
def test_any_history_ends_in_what_a_list_gives(steps: list[tuple[str, str, str]]) -> None:
    grown, at_once = Index(), Index()
    catalogue, there = Catalogue(grown, judged=True), {}
    for name, tool, verb in steps:
        if verb == "put":
            there[name] = body(name, name=tool)
            catalogue.put(there[name])
        else:
            catalogue.remove(body(name))
            there.pop(name, None)
    Catalogue(at_once, judged=True).replace(list(there.values()))
    assert grown.tools == at_once.tools
