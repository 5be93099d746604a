"""What working together costs: `make bench BENCH=collaboration`.

Both stores write to the disk before they answer, so each figure stands beside that of a bare write
of the same server, or of a bare transaction of the same disk, in the same run.
"""

import asyncio
import sqlite3
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Any

from redis.asyncio import Redis

from flagscale_workloads.agent.collaboration import AgentInfo, Collaborator
from perf.ranges import report
from support.valkey import Valkey

ROUNDS = 300
MESSAGES = 1_000
SENDERS = 4


async def p50_ms(call: Callable[[int], Awaitable[Any]]) -> float:
    """Median of so many calls, one after the other."""
    times = []
    for number in range(ROUNDS):
        # A lease that is renewed within the same millisecond changes nothing, and costs nothing.
        await asyncio.sleep(0.002)
        begun = time.perf_counter()
        await call(number)
        times.append((time.perf_counter() - begun) * 1000)
    return median(times)


async def measure(url: str) -> dict[str, float]:
    """Figures of one store."""
    async with Collaborator.connect(url, "bench") as agent:
        await agent.register(AgentInfo("agent"), lease_s=600)
        await agent.subscribe("circle")

        async def beat(_: int) -> None:
            await agent.heartbeat()

        async def claim(number: int) -> None:
            await agent.release(await agent.claim(f"thing-{number}"))

        async def write(number: int) -> None:
            await agent.set("value", number)

        async def circle(number: int) -> None:
            await agent.send("circle", number)
            (delivery,) = await agent.receive("circle", wait_s=10)
            await agent.ack(delivery)

        return {
            "heartbeat_p50_ms": await p50_ms(beat),
            "claim_release_p50_ms": await p50_ms(claim),
            "set_p50_ms": await p50_ms(write),
            "send_receive_ack_p50_ms": await p50_ms(circle),
            "messages_per_s": await messages_per_s(agent),
        }


async def messages_per_s(agent: Collaborator) -> float:
    """Sent by several tasks at once, read in batches, each acknowledged."""
    await agent.subscribe("many")
    begun = time.perf_counter()

    async def send(share: int) -> None:
        for number in range(share):
            await agent.send("many", number)

    async def work_off() -> None:
        done = 0
        while done < MESSAGES:
            for delivery in await agent.receive("many", count=100, wait_s=10):
                await agent.ack(delivery)
                done += 1

    await asyncio.gather(work_off(), *(send(MESSAGES // SENDERS) for _ in range(SENDERS)))
    return MESSAGES / (time.perf_counter() - begun)


async def bare_redis_ms(url: str) -> float:
    """A plain SET of the same server."""
    async with Redis.from_url(url) as client:
        return await p50_ms(lambda number: client.set("bare", number))


async def bare_disk_ms(folder: Path) -> float:
    """A plain transaction on the same disk."""
    db = sqlite3.connect(folder / "bare.sqlite", isolation_level=None)
    for statement in (
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = FULL",
        "CREATE TABLE bare (value INTEGER)",
    ):
        db.execute(statement)

    async def insert(number: int) -> None:
        db.execute("INSERT INTO bare VALUES (?)", (number,))

    took_ms = await p50_ms(insert)
    db.close()
    return took_ms


async def figures(folder: Path) -> dict[str, float]:
    """Of both stores, and of what is below them."""
    server = Valkey(folder / "valkey").start()
    try:
        bare = {"redis": await bare_redis_ms(server.url), "file": await bare_disk_ms(folder)}
        found = {"redis": await measure(server.url), "file": await measure(f"file:{folder}/store")}
    finally:
        server.stop()
    named = {f"{store}_{name}": v for store, part in found.items() for name, v in part.items()}
    named |= {f"{store}_bare_write_p50_ms": value for store, value in bare.items()}
    named |= {
        f"{store}_claim_release_times_bare": found[store]["claim_release_p50_ms"] / value
        for store, value in bare.items()
    }
    return {name: round(value, 3) for name, value in named.items()}


def main() -> int:
    """Print the figures against their bars."""
    with tempfile.TemporaryDirectory() as folder:
        return report("collaboration", asyncio.run(figures(Path(folder))))


if __name__ == "__main__":
    sys.exit(main())
