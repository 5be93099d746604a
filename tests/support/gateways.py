"""A gateway before given ports, without engine processes of its own."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flagscale_api.runtime.serve import ServeConfig
from flagscale_workloads.backends.registry import adapter_of
from flagscale_workloads.serve.replicas import Replica
from flagscale_workloads.serve.service import ServeEngine
from support.raw_http import Answer, RawClient
from support.scripted_engine import ScriptedEngine

CHAT = "/v1/chat/completions"
HELLO = {"messages": [{"role": "user", "content": "hello"}]}


@dataclass(frozen=True)
class RunningGateway:
    """Where it listens, and the engine room behind it."""

    service: ServeEngine
    port: int

    async def connect(self) -> RawClient:
        """A new connection to it."""
        return await RawClient.connect(self.port)

    def loads(self) -> list[int]:
        """Outstanding requests of each replica."""
        return [replica.outstanding for replica in self.service.replicas]

    async def until_cut_off(self, engine: ScriptedEngine) -> int:
        """Bytes that a flooding engine has got rid of when its client was given up."""
        # A stall can't be seen from outside on a busy machine: everything stands still now and
        # then. The limit only ends a test that fails.
        async with asyncio.timeout(60):
            await engine.gone.wait()
            while self.loads() != [0]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return engine.sent_bytes

    async def metric(self, start: str) -> float:
        """The value of the only series whose line starts so; 0 without one."""
        client = await self.connect()
        client.get("/metrics")
        text = (await client.answer()).body.decode()
        await client.close()
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(start))


async def ask(gateway: RunningGateway, body: Any = HELLO, path: str = CHAT, **head: str) -> Answer:
    """The answer to a request on a connection of its own."""
    client = await gateway.connect()
    client.post(path, body, **head)
    answer = await client.answer()
    await client.close()
    return answer


@asynccontextmanager
async def running_gateway(*ports: int, **config: Any) -> AsyncIterator[RunningGateway]:
    """A gateway over replicas at these ports."""
    settings: dict[str, Any] = {
        "model": {"name": "sim", "path": "/tmp"},
        "engine": {"name": "simulator"},
        "routing": {"policy": "roundRobin"},
        "health": {"intervalSeconds": 0.1, "timeoutSeconds": 1},
    }
    gateway = {"port": 0, "drainTimeoutSeconds": 1} | config.pop("gateway", {})
    parsed = ServeConfig.model_validate(settings | {"gateway": gateway} | config)
    service = ServeEngine(
        parsed, adapter_of(parsed.engine.name), device="cpu", python=Path("/none"), environ={}
    )
    port = await service.start_service()
    for number, engine in enumerate(ports):
        replica = Replica.at(f"r{number}", "127.0.0.1", engine)
        replica.ready = True
        service.replicas.add(replica)
    try:
        yield RunningGateway(service, port)
    finally:
        await service.stop()
        await asyncio.sleep(0)


@asynccontextmanager
async def serving_simulators(count: int, **config: Any) -> AsyncIterator[RunningGateway]:
    """A gateway with so many simulators of its own, all ready."""
    settings: dict[str, Any] = {
        "model": {"name": "sim", "path": "/tmp"},
        "engine": {"name": "simulator"},
        "processes": {"count": count},
        "routing": {"policy": "leastOutstanding"},
        "health": {"intervalSeconds": 0.2, "timeoutSeconds": 1, "failures": 2},
    }
    gateway = {"port": 0, "drainTimeoutSeconds": 10} | config.pop("gateway", {})
    parsed = ServeConfig.model_validate(settings | {"gateway": gateway} | config)
    service = ServeEngine(
        parsed,
        adapter_of("simulator"),
        device="cpu",
        python=Path(sys.executable),
        environ=os.environ,
    )
    port = await service.start_service()
    try:
        await service.deploy_model()
        yield RunningGateway(service, port)
    finally:
        await service.stop()
