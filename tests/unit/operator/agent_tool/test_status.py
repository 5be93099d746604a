"""What a user reads of a tool, from what is known of it."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagscale_api.v1alpha1.agent_tool_status import AgentToolStatus
from flagscale_operator.kinds.agent_tool.digest import schema_digest
from flagscale_operator.kinds.agent_tool.status import ToolFacts, invalid_status, tool_status
from flagscale_operator.kinds.agent_tool.view import ToolView, parse_agent_tool, target_of
from flagscale_operator.outside.matcher_index import Indexed
from flagscale_operator.outside.probe import Probe, Target
from support.agent_tools import HTTP, PARAMETERS, SPEC
from support.spec_schema import merged
from support.train_jobs import at

ANSWERS = Probe(answers=True, reason="Answers", message="")
REFUSES = Probe(answers=False, reason="Unreachable", message="api.example.org: refuses")
EVERYWHERE = Indexed(replicas=2, having=2)
GOOD = ToolFacts(needs_probe=True, probe=ANSWERS, indexed=EVERYWHERE)
OWNER = [{"kind": "AgentToolSource", "name": "s", "uid": "u", "controller": True}]


def view(*, sourced: bool = False, generation: int = 1, **spec: Any) -> ToolView:
    metadata = {"namespace": "ns", "name": "tool", "uid": "uid", "generation": generation}
    owners = {"ownerReferences": OWNER} if sourced else {}
    body = {"metadata": metadata | owners, "spec": merged({**SPEC, **HTTP}, spec)}
    return parse_agent_tool(body)


def told(status: AgentToolStatus) -> dict[str, tuple[str, str]]:
    return {c.type: (c.status, c.reason) for c in status.conditions}


def after(tool: ToolView, facts: ToolFacts = GOOD, seconds: float = 0) -> ToolView:
    """The tool once its status was written."""
    return replace(tool, status=tool_status(tool, facts, at(seconds)))


def test_a_tool_is_ready_when_it_is_found_and_answers() -> None:
    status = tool_status(view(), GOOD, at(0))
    assert told(status) == {
        "Ready": ("True", "Ready"),
        "Accepted": ("True", "Accepted"),
        "SchemaDrifted": ("False", "NotPinned"),
        "Reachable": ("True", "Answers"),
        "Indexed": ("True", "Indexed"),
    }
    assert (status.kind, status.server) == ("http", "api.example.org")
    assert {c.observed_generation for c in status.conditions} == {1}


@pytest.mark.parametrize(
    ("facts", "ready"),
    [
        (replace(GOOD, probe=REFUSES), ("False", "Unreachable")),
        (replace(GOOD, probe=None), ("Unknown", "NotProbed")),
        (replace(GOOD, rival="older"), ("False", "DuplicateName")),
        (replace(GOOD, has_matcher=False), ("False", "NoMatcher")),
        (replace(GOOD, indexed=Indexed(2, 1)), ("False", "NotIndexed")),
        (replace(GOOD, indexed=Indexed(2, 1, refusing=("pod",))), ("False", "Refused")),
        (replace(GOOD, indexed=Indexed(0, 0)), ("Unknown", "NotIndexed")),
        (replace(GOOD, indexed=Indexed(0, 0, away=True)), ("Unknown", "MatcherAway")),
    ],
)
def test_what_is_amiss_is_why_it_is_not_ready(facts: ToolFacts, ready: tuple[str, str]) -> None:
    assert told(tool_status(view(), facts, at(0)))["Ready"] == ready


def test_a_function_needs_no_endpoint() -> None:
    tool = view(http=None)
    assert target_of(tool.spec) is None
    status = tool_status(tool, ToolFacts(indexed=EVERYWHERE), at(0))
    assert told(status)["Reachable"] == ("True", "NotNeeded")
    assert told(status)["Ready"] == ("True", "Ready")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"properties": {"a": {"type": "strin"}}}, "spec.parameters.properties.a.type: no valid"),
        ({"properties": {"a": 5}}, "spec.parameters.properties.a: no valid JSON Schema"),
        ({"properties": {"a": {"pattern": "(["}}}, "is not a"),
        ({"properties": {"a": {"$ref": "https://x/y"}}}, "schemas of other documents are not"),
        ({"properties": {"a": {"$ref": "#/$defs/no"}}}, "no valid JSON Schema"),
        ({"$schema": "https://x/y"}, "no valid JSON Schema"),
        ({"description": "x" * 70_000}, "at most 65536 bytes of JSON, got 70"),
        ({"properties": {"a": {"description": "x\x1bb"}}}, "hidden character U+001B"),
        ({"properties": {"a\u202eb": {}}}, "hidden character U+202E"),
    ],
)
def test_parameters_that_are_no_schema_are_told_and_not_indexed(
    parameters: dict[str, Any], message: str
) -> None:
    status = tool_status(view(parameters=parameters), GOOD, at(0))
    assert told(status)["Ready"] == ("False", "InvalidParameters")
    assert told(status)["Indexed"] == ("False", "NotAccepted")
    assert message in next(c.message for c in status.conditions if c.type == "Accepted")


def test_a_deeply_nested_schema_is_told_and_harms_nobody() -> None:
    schema: dict[str, Any] = {}
    for _ in range(400):
        schema = {"properties": {"a": schema}}
    status = tool_status(view(parameters=schema), GOOD, at(0))
    assert told(status)["Ready"] == ("False", "InvalidParameters")
    assert "nested more than 128 deep" in status.conditions[0].message
    assert status.schema_digest is None


def test_a_tool_of_a_source_is_held_to_what_it_was_first() -> None:
    first = after(view(sourced=True))
    assert told(first.status)["SchemaDrifted"] == ("False", "Unchanged")

    changed = replace(view(sourced=True, description="Other.", generation=2), status=first.status)
    status = tool_status(changed, GOOD, at(1))
    assert told(status)["SchemaDrifted"] == ("True", "Changed")
    assert told(status)["Ready"] == ("False", "SchemaDrifted")
    words = next(c.message for c in status.conditions if c.type == "SchemaDrifted")
    assert f"set spec.approvedSchemaDigest to {status.schema_digest}" in words
    assert status.pinned_digest == first.status.schema_digest


def test_approval_lasts_until_the_next_change_and_outlives_its_field() -> None:
    first = after(view(sourced=True))
    digest = schema_digest(view(description="Other.").spec, "tool")
    approved = view(sourced=True, description="Other.", approvedSchemaDigest=digest)
    second = after(replace(approved, status=first.status))
    assert told(second.status)["SchemaDrifted"] == ("False", "Approved")

    without = replace(view(sourced=True, description="Other."), status=second.status)
    assert told(after(without).status)["SchemaDrifted"] == ("False", "Unchanged")

    third = view(sourced=True, description="Third.", approvedSchemaDigest=digest)
    status = tool_status(replace(third, status=second.status), GOOD, at(0))
    assert told(status)["SchemaDrifted"] == ("True", "Changed")


def test_a_tool_that_comes_back_changed_is_not_taken_for_a_new_one() -> None:
    facts = replace(GOOD, earlier_pin=f"sha256:{'0' * 64}")
    assert told(tool_status(view(sourced=True), facts, at(0)))["SchemaDrifted"][0] == "True"
    assert told(tool_status(view(), facts, at(0)))["SchemaDrifted"] == ("False", "NotPinned")


def test_a_tool_of_a_user_is_held_to_an_approval_alone() -> None:
    tool = after(view())
    changed = replace(view(description="Other."), status=tool.status)
    assert told(after(changed).status)["SchemaDrifted"] == ("False", "NotPinned")
    held = view(approvedSchemaDigest=f"sha256:{'0' * 64}")
    assert told(after(held).status)["SchemaDrifted"] == ("True", "Changed")


@pytest.mark.parametrize(
    ("change", "moves"),
    [
        ({"description": "Other."}, True),
        ({"parameters": PARAMETERS}, True),
        ({"name": "other"}, True),
        ({"http": {"method": "DELETE"}}, True),
        ({"http": {"url": "https://evil.example.org/{id}"}}, True),
        ({"category": "x", "tags": ["a"], "exampleQueries": ["b"]}, False),
        ({"timeoutSeconds": 5, "idempotent": True, "sharing": "cluster"}, False),
    ],
)
def test_the_digest_covers_what_an_agent_relies_on(change: dict[str, Any], *, moves: bool) -> None:
    before = schema_digest(view().spec, "tool")
    after_ = view(**change)
    assert (schema_digest(after_.spec, after_.called) != before) == moves


def test_after_a_restart_nothing_is_unsaid() -> None:
    tool = after(view())
    unknown = replace(GOOD, probe=None, indexed=Indexed(0, 0))
    assert tool_status(tool, unknown, at(60)) == tool.status


def test_what_was_known_of_another_generation_is_not_known_of_this() -> None:
    old = after(view())
    new = replace(view(generation=2), status=old.status)
    unknown = replace(GOOD, probe=None, indexed=Indexed(0, 0))
    assert told(tool_status(new, unknown, at(60)))["Indexed"] == ("Unknown", "NotIndexed")


def test_what_a_broken_spec_was_held_to_stays_known() -> None:
    first = after(view(sourced=True)).status
    status = invalid_status(first, generation=2, message="spec.x: wrong", now=at(5))
    assert status.pinned_digest == first.pinned_digest
    assert told(status) == {
        "Ready": ("False", "InvalidSpec"),
        "Accepted": ("False", "InvalidSpec"),
    }


def test_calls_are_never_written_by_the_operator() -> None:
    body = {"metadata": {"name": "tool"}, "spec": SPEC, "status": {"calls": 7}}
    assert tool_status(parse_agent_tool(body), GOOD, at(0)).calls is None


@pytest.mark.parametrize(
    ("endpoint", "url", "is_agent"),
    [
        ({"http": {"url": "https://a/b?c=d"}}, "https://a/b", False),
        ({"http": {"url": "https://a/v1/x-{id}/y"}}, "https://a/v1/", False),
        ({"mcp": {"url": "http://a:8/mcp"}}, "http://a:8/mcp", False),
        ({"agent": {"url": "https://a/b/"}}, "https://a/b/", True),
    ],
)
def test_arguments_never_come_into_a_probe(
    endpoint: dict[str, Any], url: str, *, is_agent: bool
) -> None:
    tool = view(**{"http": None, "egress": {"internalHosts": ["b", "a"]}, **endpoint})
    assert target_of(tool.spec) == Target(url, is_agent, ("a", "b"))


@given(
    facts=st.builds(
        ToolFacts,
        rival=st.none() | st.just("older"),
        needs_probe=st.just(value=True),
        probe=st.sampled_from([None, ANSWERS, REFUSES]),
        has_matcher=st.booleans(),
        indexed=st.builds(Indexed, st.integers(0, 2), st.integers(0, 2), away=st.booleans()),
    ),
    sourced=st.booleans(),
)
def test_the_same_facts_twice_change_nothing(facts: ToolFacts, *, sourced: bool) -> None:
    tool = after(view(sourced=sourced), facts)
    assert tool_status(tool, facts, at(3600)) == tool.status
