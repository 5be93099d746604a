"""What must not be seen while everything changes: a failed query, a torn answer, a dead tool."""

import asyncio
from collections import Counter
from pathlib import Path

import httpx2
import pytest

from support.tool_service import ToolServiceProcess, agent_tool, tool_service

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Load:
    """Requests, one after the other, each with words of its own, so that no cache answers."""

    def __init__(self, service: ToolServiceProcess) -> None:
        self.service = service
        self.tiers: Counter[str] = Counter()
        self.failed: list[str] = []
        self.stopping = False
        self.count = 0

    async def run(self) -> None:
        async with self.service.client() as client:
            while not self.stopping:
                self.count += 1
                body = {"query": f"forecast for city number {self.count}", "min_confidence": 0}
                try:
                    answer = await client.post("/v1/tools:match", json=body)
                except httpx2.HTTPError as error:
                    self.failed.append(repr(error))
                    continue
                if answer.status_code != 200 or not answer.json()["tools"]:
                    self.failed.append(answer.text)
                else:
                    self.tiers[answer.json()["tier"]] += 1

    async def until(self, tier: str, more: int) -> None:
        """Until so many more answers came from a tier."""
        wanted = self.tiers[tier] + more
        async with asyncio.timeout(60):
            while True:
                if self.tiers[tier] >= wanted:
                    return
                await asyncio.sleep(0.01)


async def test_a_killed_embedder_fails_no_query_and_the_tier_says_so(tmp_path: Path) -> None:
    tools = [
        agent_tool(f"forecast-{n}", f"Forecast of the weather for city {n}.") for n in range(9)
    ]
    async with tool_service(tmp_path) as service:
        service.write("tools.yaml", *tools)
        load = Load(service)

        async def embedded() -> bool:
            async with service.client() as client:
                text = (await client.get("/metrics")).text
            return "indexed 9.0" in text and 'arm_missing{arm="dense"} 0.0' in text

        await service.until(embedded, timeout_s=60)
        running = [asyncio.create_task(load.run()) for _ in range(4)]
        await load.until("transformer", 20)
        embedder = service.embedder()
        assert embedder
        embedder.kill()
        await load.until("static", 20)
        # It is started again, and takes part again once its breaker lets it.
        await load.until("transformer", 20)
        load.stopping = True
        await asyncio.gather(*running)
    assert load.failed == []
