"""The shell: what reaches the API server of a source."""

from typing import Any

from flagscale_operator.controller.queue import Key
from flagscale_operator.controller.view import ClusterView
from flagscale_operator.errors import ApiError
from flagscale_operator.kinds.agent_tool_source.reconciler import AgentToolSourceReconciler
from flagscale_operator.kube.client import Manifest
from flagscale_operator.kube.kinds import AGENT_TOOL, AGENT_TOOL_SOURCE
from flagscale_operator.outside.remote_tools import Listing, RemoteTool
from flagscale_operator.outside.source_listing import Offer
from support.agent_tools import SOURCE, conditions, message, tool_source
from support.fake_events import Events
from support.fake_kube import FakeKube
from support.spec_schema import merged
from support.train_jobs import at

KEY = Key("AgentToolSource", "ns", "files")
BOTH = Listing(
    tools=tuple(RemoteTool(name, "Does it.", '{"type":"object"}') for name in ("a", "b"))
)


class World:
    def __init__(self) -> None:
        self.kube, self.view, self.events = FakeKube(), ClusterView(), Events()
        self.listing: Listing | None = BOTH
        self.asked: dict[Key, Offer] = {}
        self.reconciler = AgentToolSourceReconciler(
            kube=self.kube,
            view=self.view,
            listings=self,
            events=self.events,
            clock=lambda: at(0),
        )
        self.write()

    def newest(self, who: Key, question: Offer) -> Listing | None:
        self.asked[who] = question
        return self.listing

    def forget(self, who: Key) -> None:
        self.asked.pop(who, None)

    def write(self, **spec: Any) -> None:
        body = tool_source(merged(SOURCE, spec), "files")
        body["metadata"] |= {"namespace": "ns"}
        stored = self.kube.peek(AGENT_TOOL_SOURCE, "ns", "files") or {}
        kept = self.kube.put(AGENT_TOOL_SOURCE, {**stored, **body})
        self.view.keep(AGENT_TOOL_SOURCE, kept)

    async def run(self) -> None:
        self.kube.calls.clear()
        assert await self.reconciler.reconcile(KEY) is None

    def source(self) -> Manifest:
        return self.kube.peek(AGENT_TOOL_SOURCE, "ns", "files") or {}

    def names(self) -> list[str]:
        return sorted(name for kind, _, name in self.kube.objects if kind == "AgentTool")


async def test_the_second_run_asks_for_nothing() -> None:
    world = World()
    await world.run()
    assert world.kube.verbs() == ["apply", "apply", "apply_status"]
    await world.run()
    assert world.kube.verbs() == []
    assert world.names() == ["files-a", "files-b"]
    assert world.events.posted == [("Normal", "Synced")]


async def test_before_the_server_was_asked_nothing_is_done_or_said() -> None:
    world = World()
    world.listing = None
    await world.run()
    assert world.kube.verbs() == []
    assert world.asked[KEY].mcp_url == "https://tools.example.org/mcp"


async def test_what_the_server_has_no_more_is_deleted_by_its_uid() -> None:
    world = World()
    await world.run()
    world.listing = Listing(tools=BOTH.tools[:1])
    await world.run()
    assert world.kube.verbs() == ["apply_status", "delete"]
    assert world.names() == ["files-a"]


async def test_a_failing_server_takes_nothing_away() -> None:
    world = World()
    await world.run()
    world.listing = Listing(reason="Unreachable", message="refuses connections")
    await world.run()
    assert world.kube.verbs() == ["apply_status"]
    assert world.names() == ["files-a", "files-b"]
    assert conditions(world.source())["Ready"] == ("False", "Unreachable")
    assert world.source()["status"]["tools"] == 2
    assert world.events.posted[-1] == ("Warning", "Unreachable")


async def test_a_tool_that_somebody_deleted_or_changed_is_made_again() -> None:
    world = World()
    await world.run()
    mine = world.kube.peek(AGENT_TOOL, "ns", "files-a")
    assert mine
    world.view.drop(AGENT_TOOL, mine)
    changed = merged(world.kube.peek(AGENT_TOOL, "ns", "files-b") or {}, {"spec": {"server": "x"}})
    world.view.keep(AGENT_TOOL, world.kube.put(AGENT_TOOL, changed))
    await world.run()
    assert world.kube.verbs() == ["apply", "apply"]


async def test_what_the_api_server_refuses_is_told_and_the_rest_is_made() -> None:
    world = World()
    world.kube.refuse("apply", ApiError(422, "Invalid", "spec.x: no", "patch", "agenttools"))
    await world.run()
    assert world.names() == ["files-b"]
    assert "a: spec.x: no" in message(world.source(), "Degraded")
    assert world.source()["status"]["tools"] == 1


async def test_tools_of_an_earlier_source_of_that_name_are_foreign() -> None:
    world = World()
    await world.run()
    old = world.kube.peek(AGENT_TOOL, "ns", "files-a") or {}
    old["metadata"]["ownerReferences"][0]["uid"] = "earlier"
    world.view.keep(AGENT_TOOL, world.kube.put(AGENT_TOOL, old))
    await world.run()
    assert world.kube.verbs(AGENT_TOOL) == []
    assert "AgentTool files-a exists" in message(world.source(), "Degraded")


async def test_a_changed_source_is_rendered_anew() -> None:
    world = World()
    await world.run()
    world.write(category="files", exclude=["b"])
    await world.run()
    stored = world.kube.peek(AGENT_TOOL, "ns", "files-a") or {}
    assert stored["spec"]["category"] == "files"
    assert world.names() == ["files-a"]


async def test_nobody_asks_for_a_source_that_is_gone_or_broken() -> None:
    world = World()
    await world.run()
    world.write(maxTools=0)
    await world.run()
    assert world.asked == {}
    assert conditions(world.source())["Ready"] == ("False", "InvalidSpec")
    world.write()
    await world.run()
    world.view.drop(AGENT_TOOL_SOURCE, world.source())
    await world.run()
    assert (world.asked, world.kube.verbs()) == ({}, [])
