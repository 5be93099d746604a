"""What a listing becomes, and what is done about it."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from flagscale_api.v1alpha1.agent_tool import AgentToolSpec
from flagscale_api.v1alpha1.common import DnsSubdomain
from flagscale_api.v1alpha1.tool_text import ToolName
from flagscale_operator.kinds.agent_tool_source.names import agent_name, object_name
from flagscale_operator.kinds.agent_tool_source.plan import SourcePlan, plan, synced_status
from flagscale_operator.kinds.agent_tool_source.render import render_tools
from flagscale_operator.kinds.agent_tool_source.view import (
    SourceView,
    offer_of,
    parse_agent_tool_source,
)
from flagscale_operator.outside.remote_tools import Listing, RemoteTool, canonical
from flagscale_operator.outside.source_listing import KeyOf
from support.agent_tools import SOURCE
from support.spec_schema import merged
from support.train_jobs import at

EMPTY = canonical({"type": "object"})


def source(**spec: Any) -> SourceView:
    metadata = {"namespace": "ns", "name": "files", "uid": "uid", "generation": 1}
    return parse_agent_tool_source({"metadata": metadata, "spec": merged(SOURCE, spec)})


def remote(name: str, description: str = "Does it.", parameters: str = EMPTY) -> RemoteTool:
    return RemoteTool(name, description, parameters)


def listing(*tools: RemoteTool) -> Listing:
    return Listing(tools=tools, server="toolbox 1")


def done(source_: SourceView, listed: Listing, **stored: Any) -> SourcePlan:
    return plan(render_tools(source_, listed), stored, ())


def made(listed: Listing, **spec: Any) -> dict[str, Any]:
    """The only AgentTool."""
    (manifest,) = render_tools(source(**spec), listed).tools.values()
    return manifest


def test_a_tool_carries_what_its_source_says() -> None:
    auth = {"secretKeyRef": {"name": "s", "key": "k"}}
    manifest = made(
        listing(remote("read_file")),
        auth=auth,
        category="files",
        tags=["a"],
        timeoutSeconds=5,
        egress={"internalHosts": ["files"]},
        sharing="cluster",
    )
    spec = AgentToolSpec.model_validate(manifest["spec"])
    assert manifest["metadata"]["name"] == "files-read-file"
    assert (spec.name, spec.server, spec.category) == ("read_file", "files", "files")
    assert spec.mcp
    assert (spec.mcp.url, spec.mcp.tool) == ("https://tools.example.org/mcp", "read_file")
    assert spec.auth
    assert (spec.auth.header, spec.auth.scheme) == ("Authorization", "Bearer")
    assert (spec.timeout_seconds, spec.sharing) == (5, "cluster")
    assert spec.egress.internal_hosts == ["files"]
    (owner,) = manifest["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("AgentToolSource", "uid", True)


def test_what_a_source_does_not_say_is_left_to_users() -> None:
    spec = made(listing(remote("a")))["spec"]
    for field in ("category", "tags", "auth", "exampleQueries", "approvedSchemaDigest"):
        assert field not in spec


def test_a_second_run_does_nothing() -> None:
    listed = listing(remote("a"), remote("b"))
    first = done(source(), listed)
    stored = {one["metadata"]["name"]: one for one in first.apply}
    assert sorted(stored) == ["files-a", "files-b"]
    again = done(source(), listed, **stored)
    assert (again.apply, again.delete, again.tools) == ((), (), 2)


def test_changes_are_applied_and_what_is_gone_is_deleted() -> None:
    before = done(source(), listing(remote("a"), remote("b")))
    stored = {one["metadata"]["name"]: one for one in before.apply}
    after = done(source(), listing(remote("a", "Other."), remote("c")), **stored)
    assert [one["metadata"]["name"] for one in after.apply] == ["files-a", "files-c"]
    assert after.delete == ("files-b",)


def test_what_somebody_changed_is_put_right_and_what_they_added_stays() -> None:
    (manifest,) = done(source(), listing(remote("a"))).apply
    added = merged(manifest, {"spec": {"approvedSchemaDigest": "x", "exampleQueries": ["q"]}})
    assert done(source(), listing(remote("a")), **{"files-a": added}).apply == ()
    changed = merged(manifest, {"spec": {"description": "Mine."}})
    assert len(done(source(), listing(remote("a")), **{"files-a": changed}).apply) == 1


def test_a_foreign_tool_of_that_name_is_left_alone_and_told() -> None:
    planned = plan(render_tools(source(), listing(remote("a"))), {}, {"files-a"})
    assert (planned.apply, planned.delete, planned.tools) == ((), (), 0)
    assert planned.skipped[0].message.startswith("AgentTool files-a exists and is not of this")


@pytest.mark.parametrize(
    ("tool", "why"),
    [
        (remote("a", "x" * (1 << 20)), "spec.description: String should have at most 8192"),
        (remote("a", "b\x07"), "spec.description: may not contain control characters"),
        (remote("a", "b\U000e0041"), "spec.description: may not contain control characters"),
        (remote("a", parameters='{"type":"array"}'), "spec.parameters.type"),
        (
            remote("a", parameters=canonical({"properties": {str(i): {} for i in range(129)}})),
            "spec.parameters.properties",
        ),
        (
            remote("a", parameters='{"properties":{"x":{"type":"strin"}}}'),
            "spec.parameters.properties.x.type: no valid JSON Schema",
        ),
        (remote("a", parameters='{"$ref":"https://evil/x"}'), "no valid JSON Schema"),
        (remote(""), "spec.description"),
    ],
)
def test_a_bad_tool_is_left_out_and_told(tool: RemoteTool, why: str) -> None:
    if not tool.name:
        tool = RemoteTool("", "", EMPTY)
    planned = done(source(), listing(tool, remote("good")))
    assert [one["metadata"]["name"] for one in planned.apply] == ["files-good"]
    assert why in planned.skipped[0].message
    status = synced_status(source(), listing(tool), planned, at(0))
    conditions = {c.type: (c.status, c.reason) for c in status.conditions}
    assert conditions == {"Ready": ("True", "Synced"), "Degraded": ("True", "ToolsSkipped")}
    assert status.tools == 1


def test_more_tools_than_wanted_are_left_out_by_name() -> None:
    planned = done(source(maxTools=2), listing(remote("c"), remote("a"), remote("b")))
    assert [one["metadata"]["name"] for one in planned.apply] == ["files-a", "files-b"]
    assert planned.skipped[0].name == "c"
    assert "raise it" in planned.skipped[0].message


def test_what_a_removed_tool_was_held_to_is_remembered() -> None:
    (manifest,) = done(source(), listing(remote("a"))).apply
    stored = {"files-a": {**manifest, "status": {"pinnedDigest": "sha256:1"}}}
    first = done(source(), listing(), **stored)
    status = synced_status(source(), listing(), first, at(0))
    assert [(one.name, one.pinned_digest) for one in status.removed] == [("files-a", "sha256:1")]

    later = replace(source(), status=status)
    again = done(later, listing(), **{"files-a": {**manifest, "status": {"pinnedDigest": "2"}}})
    assert [one.pinned_digest for one in synced_status(later, listing(), again, at(0)).removed] == [
        "2"
    ]


def test_patterns_choose_tools() -> None:
    spec = {"include": ["order_*", "ship"], "exclude": ["*_admin"]}
    names = ("order_a", "order_admin", "ship", "shipping")
    planned = done(source(**spec), listing(*map(remote, names)))
    assert [one["spec"]["name"] for one in planned.apply] == ["order_a", "ship"]
    assert planned.skipped == ()


def test_a_tool_that_is_offered_twice_is_taken_once() -> None:
    planned = done(source(), listing(remote("a"), remote("a", "Other.")))
    assert len(planned.apply) == 1
    assert planned.skipped[0].message == "is offered twice; the first is taken"


def test_a_status_shows_some_of_many_skipped_tools_and_no_control_characters() -> None:
    listed = Listing(refused=tuple((f"t\x1b{i}", "why") for i in range(100)), server="s\x00" * 99)
    status = synced_status(source(), listed, done(source(), listed), at(0))
    assert len(status.skipped) == 16
    assert "100 of its tools are left out" in status.conditions[1].message
    assert json.dumps(status.model_dump(mode="json")).isprintable()
    assert "\\u001b" not in json.dumps(status.model_dump(mode="json"))


def test_plain_names_stay_plain_and_no_two_tools_share_one() -> None:
    assert object_name("files", "read_file") == "files-read-file"
    assert object_name("files", "read-file").startswith("files-read-file-")
    assert object_name("files", "Read_File") != object_name("files", "read-file")
    assert agent_name("files/read") != agent_name("files read")
    assert agent_name("read_file") == "read_file"


@given(st.text(min_size=1, max_size=300), st.text(min_size=1, max_size=300))
def test_any_name_becomes_one_that_kubernetes_and_models_take(first: str, second: str) -> None:
    for name in (first, second):
        TypeAdapter(DnsSubdomain).validate_python(object_name("x" * 63, name))
        TypeAdapter(ToolName).validate_python(agent_name(name))
    assert (object_name("s", first) == object_name("s", second)) == (first == second)
    assert (agent_name(first) == agent_name(second)) == (first == second)


names = st.text("abc_-", min_size=1, max_size=4)
tools = st.lists(st.builds(remote, names, st.sampled_from(["One.", "Two.", ""])), max_size=6)


@given(before=tools, after=tools)
def test_whatever_changes_the_next_run_has_nothing_to_do(
    before: list[RemoteTool], after: list[RemoteTool]
) -> None:
    first = {one["metadata"]["name"]: one for one in done(source(), listing(*before)).apply}
    second = done(source(), listing(*after), **first)
    now = {name: one for name, one in first.items() if name not in second.delete}
    now |= {one["metadata"]["name"]: one for one in second.apply}
    third = done(source(), listing(*after), **now)
    assert (third.apply, third.delete) == ((), ())
    assert third.tools == len(now) == len({tool.name for tool in after})


def test_an_offer_says_all_that_a_server_is_asked_with() -> None:
    auth = {"secretKeyRef": {"name": "s", "key": "k"}, "header": "X-Key", "scheme": ""}
    document = {"configMapKeyRef": {"name": "c", "key": "d"}, "serverUrl": "https://a/b"}
    offer = offer_of(source(mcp=None, openApi=document, auth=auth, resyncSeconds=60))
    assert (offer.mcp_url, offer.document_url, offer.document) == ("", "", KeyOf("c", "d"))
    assert (offer.server_url, offer.resync_s) == ("https://a/b", 60)
    assert offer.credential
    assert (offer.credential.header, offer.credential.scheme) == ("X-Key", "")
