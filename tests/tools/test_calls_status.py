"""Replicas that count calls of the same tool at the same time."""

import asyncio
from pathlib import Path

from flagscale_workloads.agent.service.calls_status import CallsStatus
from flagscale_workloads.agent.service.kube.api import Account, KubeApi
from flagscale_workloads.agent.service.tally import Tally
from support.scripted_kube import ScriptedKube, scripted_kube

from .conftest import tool


async def test_replicas_add_up_and_a_deleted_tool_is_forgotten(tmp_path: Path) -> None:
    kube = ScriptedKube()
    await kube.put(tool("ring", "Ring a bell."))
    async with scripted_kube(kube, tmp_path) as environ:
        api = KubeApi(Account.of_pod(environ, tmp_path))
        replicas = [CallsStatus(api, Tally(), interval_s=60) for _ in range(3)]
        for number, replica in enumerate(replicas, 1):
            for _ in range(number):
                replica.tally.called("team", "ring")
            replica.tally.called("team", "gone")
        for _ in replicas:
            await asyncio.gather(*(replica.write() for replica in replicas))
        left = [dict(replica.tally.take()) for replica in replicas]
        await api.aclose()
    assert kube.objects["team", "ring"]["status"]["calls"] == 6
    assert left == [{}, {}, {}]


async def test_what_cannot_be_written_is_written_later(tmp_path: Path) -> None:
    kube = ScriptedKube()
    await kube.put(tool("ring", "Ring a bell."))
    async with scripted_kube(kube, tmp_path) as environ:
        api = KubeApi(Account.of_pod(environ, tmp_path))
        replica = CallsStatus(api, Tally(), interval_s=60)
        replica.tally.called("team", "ring")
        kube.down = True
        await replica.write()
        kube.down = False
        await replica.write()
        await api.aclose()
    assert kube.objects["team", "ring"]["status"]["calls"] == 1
