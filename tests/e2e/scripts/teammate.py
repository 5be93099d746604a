"""Runs in a pod: an agent that works with others over the chart's Redis.

teammate.py work | look | hand-off TEXT | take WAIT_S | send COUNT | drain | enter
Each but `work` prints one JSON document.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import uvicorn

from flagscale_workloads.agent.collaboration import (
    AgentInfo,
    CollaborationError,
    Collaborator,
    HandOff,
)
from flagscale_workloads.agent.collaboration.a2a.endpoint import agent_app
from flagscale_workloads.agent.collaboration.a2a.executor import Assignment

STORE = "redis://flagscale-redis.flagscale-system.svc:6379"
LEASE_S = 3.0
PORT = 9000


async def answer(task: Assignment) -> AsyncIterator[str]:
    yield f"done: {task.text}"


async def work(me: Collaborator) -> None:
    """Holds a claim and takes tasks, until it is killed."""
    info = AgentInfo("worker", "Works", url=f"http://{os.environ['POD_IP']}:{PORT}")
    config = uvicorn.Config(agent_app(info, answer), host="0.0.0.0", port=PORT)  # noqa: S104
    serving = asyncio.create_task(uvicorn.Server(config).serve())
    await me.register(info, lease_s=LEASE_S)
    await me.claim("gpu")
    async with me.beating():
        await serving


async def look(me: Collaborator) -> Any:
    holder = await me.holder("gpu")
    agents = [agent.info.name for agent in await me.agents()]
    return {"agents": agents, "holder": holder.holder if holder else None}


async def take(me: Collaborator, wait_s: str) -> Any:
    """How long it waits for what another has."""
    await me.register(AgentInfo("taker"), lease_s=60)
    started = time.monotonic()
    async with me.beating():
        claim = await me.claim("gpu", wait_s=float(wait_s))
    return {"holder": claim.holder, "took_s": time.monotonic() - started, "left": await me.leave()}


async def hand_off(me: Collaborator, text: str) -> Any:
    outcome = await me.hand_off("worker", text, HandOff(timeout_s=30))
    return {"state": outcome.state, "text": outcome.text}


async def send(me: Collaborator, count: str) -> Any:
    await me.register(AgentInfo("sender"))
    await me.subscribe("jobs", "workers")
    sent = [await me.send("jobs", number) for number in range(int(count))]
    return {"sent": len(sent), "left": await me.leave()}


async def drain(me: Collaborator) -> Any:
    """Everything that the group has not acknowledged."""
    await me.register(AgentInfo("drainer"))
    got = []
    while deliveries := await me.receive("jobs", "workers", redeliver_after_s=0.01):
        for delivery in deliveries:
            got.append(delivery.message.body)
            await me.ack(delivery)
    return {"got": got, "left": await me.leave()}


ROLES = {"work": work, "look": look, "take": take, "hand-off": hand_off, "send": send,
         "drain": drain}  # fmt: skip


async def main(role: str, *arguments: str) -> None:
    password = os.environ.get("PASSWORD", "")
    if role == "enter":
        password, role, arguments = arguments[0], "look", ()
    try:
        async with Collaborator.connect(STORE, "e2e", password=password) as me:
            print(json.dumps(await ROLES[role](me, *arguments)))
    except CollaborationError as error:
        print(json.dumps({"error": str(error)}))


asyncio.run(main(*sys.argv[1:]))
