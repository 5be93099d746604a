"""What is asked outside of Kubernetes is wired to wake the tools that it is about."""

import asyncio
from typing import Any

from prometheus_client import CollectorRegistry

from flagscale_operator.controller.queue import Key, KeyedQueue
from flagscale_operator.controller.view import ClusterView
from flagscale_operator.edge.tools import make_outside, probe_pace_s
from flagscale_operator.kube.kinds import AGENT_TOOL
from flagscale_operator.outside.probe import Probe, Target
from flagscale_operator.settings import Settings
from flagscale_operator.telemetry.metrics import Metrics
from support.agent_tools import SPEC
from support.fake_kube import FakeKube

DEAD = Probe(answers=False, reason="Unreachable", message="")
ALIVE = Probe(answers=True, reason="Answers", message="")


def body(name: str) -> dict[str, Any]:
    metadata = {"namespace": "ns", "name": name, "uid": f"uid-{name}"}
    return {"metadata": metadata, "spec": SPEC}


async def test_news_of_an_index_wake_the_tools_that_they_are_about() -> None:
    view, queue = ClusterView(), KeyedQueue()
    for name in ("a", "b"):
        view.keep(AGENT_TOOL, body(name))
    outside = make_outside(Settings(), FakeKube(), view, queue)
    outside.index.on_change({"uid-b", "uid-gone"})
    assert len(queue) == 1
    assert await asyncio.wait_for(queue.take(), 5) == Key("AgentTool", "ns", "b")


async def test_a_cluster_forbids_loopback_unless_it_is_for_development() -> None:
    for allowed in (False, True):
        settings, queue = Settings(tool_loopback=allowed), KeyedQueue()
        outside = make_outside(settings, FakeKube(), ClusterView(), queue)
        running = asyncio.create_task(outside.run(Metrics(CollectorRegistry(), version="0")))
        who, target = Key("AgentTool", "ns", "a"), Target("http://127.0.0.1:1/")
        assert outside.probes.newest(who, target) is None
        assert await asyncio.wait_for(queue.take(), 10) == who
        found = outside.probes.newest(who, target)
        assert found
        assert found.reason == ("Unreachable" if allowed else "ForbiddenAddress")
        running.cancel()
        await asyncio.wait({running})


def test_the_dead_are_looked_at_soon_and_nobody_at_the_same_time() -> None:
    target = Target("http://a/")
    low = [probe_pace_s(target, DEAD, times, lambda: 0.0) for times in (1, 2, 3, 50)]
    assert low == [8, 16, 32, 240]
    assert probe_pace_s(target, ALIVE, 1, lambda: 0.0) == 240
    assert round(probe_pace_s(target, ALIVE, 9, lambda: 1.0)) == 360
