"""The shell: what reaches the API server of a tool."""

from typing import Any

from flagscale_operator.controller.queue import Key
from flagscale_operator.controller.view import ClusterView
from flagscale_operator.kinds.agent_tool.reconciler import (
    RIVAL_S,
    STATUS_PACE_S,
    AgentToolReconciler,
)
from flagscale_operator.kube.kinds import AGENT_TOOL
from flagscale_operator.outside.matcher_index import Indexed
from flagscale_operator.outside.probe import Probe, Target
from support.agent_tools import HTTP, SPEC, agent_tool, conditions
from support.fake_events import Events
from support.fake_kube import FakeKube
from support.spec_schema import merged
from support.train_jobs import at


class Answers:
    """What probes and matchers told last."""

    def __init__(self) -> None:
        self.url = "http://matcher"
        self.probe: Probe | None = Probe(answers=True, reason="Answers", message="")
        self.indexed = Indexed(1, 1)
        self.asked: dict[Key, Target] = {}

    def newest(self, who: Key, question: Target) -> Probe | None:
        self.asked[who] = question
        return self.probe

    def forget(self, who: Key) -> None:
        self.asked.pop(who, None)

    def of(self, uid: str, generation: int) -> Indexed:
        return self.indexed


class World:
    def __init__(self) -> None:
        self.kube, self.view, self.events = FakeKube(), ClusterView(), Events()
        self.answers, self.now_s = Answers(), 0.0
        self.reconciler = AgentToolReconciler(
            kube=self.kube,
            view=self.view,
            probes=self.answers,
            indexes=self.answers,
            events=self.events,
            clock=lambda: at(self.now_s),
        )

    def write(
        self, object_name: str = "tool", created: str = "2026-01-01T00:00:00Z", **spec: Any
    ) -> None:
        body = agent_tool(merged(SPEC, spec), object_name)
        body["metadata"] |= {"namespace": "ns", "creationTimestamp": created}
        stored = self.kube.peek(AGENT_TOOL, "ns", object_name) or {}
        self.view.keep(AGENT_TOOL, self.kube.put(AGENT_TOOL, {**stored, **body}))

    async def run(self, name: str = "tool", *, after_s: float = STATUS_PACE_S) -> float | None:
        self.kube.calls.clear()
        self.now_s += after_s
        return await self.reconciler.reconcile(Key("AgentTool", "ns", name))

    def told(self, name: str = "tool") -> dict[str, tuple[str, str]]:
        return conditions(self.kube.peek(AGENT_TOOL, "ns", name) or {})


async def test_the_second_run_asks_for_nothing() -> None:
    world = World()
    world.write(**HTTP)
    await world.run()
    assert world.kube.verbs() == ["apply_status"]
    world.now_s = 3600
    await world.run()
    assert world.kube.verbs() == []
    assert world.events.posted == [("Normal", "Ready")]


async def test_a_flip_is_an_event() -> None:
    world = World()
    world.write(**HTTP)
    await world.run()
    world.answers.probe = Probe(answers=False, reason="Unreachable", message="refuses")
    await world.run()
    assert world.events.posted == [("Normal", "Ready"), ("Warning", "Unreachable")]


async def test_what_changes_often_is_told_of_at_a_pace() -> None:
    world = World()
    world.write(**HTTP)
    await world.run()
    world.write(**HTTP, description="changed")

    wait_s = await world.run(after_s=STATUS_PACE_S / 4)
    assert (wait_s, world.kube.verbs()) == (STATUS_PACE_S * 3 / 4, [])
    world.write(**HTTP, description="changed again")
    assert await world.run(after_s=STATUS_PACE_S * 3 / 4) is None
    assert world.kube.verbs() == ["apply_status"]
    assert (await world.run(after_s=0), world.kube.verbs()) == (None, [])


async def test_a_clock_that_was_set_back_silences_no_tool() -> None:
    world = World()
    world.write(**HTTP)
    await world.run()
    world.write(**HTTP, description="changed")
    await world.run(after_s=-3600)
    assert world.kube.verbs() == ["apply_status"]


async def test_waiting_for_probe_and_index_is_no_news() -> None:
    world = World()
    world.answers.probe, world.answers.indexed = None, Indexed(1, 0)
    world.write(**HTTP)
    await world.run()
    assert world.told()["Ready"] == ("Unknown", "NotProbed")
    assert world.events.posted == []


async def test_of_two_tools_of_one_name_the_older_is_taken() -> None:
    world = World()
    world.write("young", created="2026-01-02T00:00:00Z", name="get", **HTTP)
    world.write("old", created="2026-01-01T00:00:00Z", name="get", **HTTP)

    assert await world.run("young") == RIVAL_S
    assert await world.run("old") is None
    assert world.told("young")["Accepted"] == ("False", "DuplicateName")
    assert world.told("old")["Ready"] == ("True", "Ready")

    body = world.view.agent_tools.get(("ns", "old"))
    assert body is not None
    world.view.drop(AGENT_TOOL, body)
    await world.run("young")
    assert world.told("young")["Ready"] == ("True", "Ready")


async def test_equal_names_on_two_servers_are_two_tools() -> None:
    world = World()
    world.write("a", name="get", **HTTP)
    world.write("b", name="get", mcp={"url": "https://other.example.org/mcp"})
    await world.run("a")
    await world.run("b")
    assert world.told("a")["Accepted"] == world.told("b")["Accepted"] == ("True", "Accepted")


async def test_a_spec_that_only_the_model_refuses_is_told() -> None:
    world = World()
    world.write(parameters={"required": [5]})
    assert await world.run() is None
    assert world.told()["Ready"] == ("False", "InvalidSpec")


async def test_nobody_probes_for_a_tool_that_is_gone() -> None:
    world = World()
    world.write(**HTTP)
    await world.run()
    assert len(world.answers.asked) == 1
    body = world.view.agent_tools.get(("ns", "tool"))
    assert body is not None
    world.view.drop(AGENT_TOOL, body)
    await world.run()
    assert world.answers.asked == {}
    assert world.kube.verbs() == []
