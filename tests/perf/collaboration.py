"""What working together costs: `make bench BENCH=collaboration`.

Both stores write to the disk before they answer, so each figure stands beside that of a bare write
of the same server, or of a bare transaction of the same disk, in the same run.
"""

import asyncio
import sqlite3
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
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
Call = Callable[[int], Awaitable[Any]]


async def p50s_ms(calls: Mapping[str, Call]) -> dict[str, float]:
    """Medians of all calls, made in turn: what else the machine does slows all of them alike."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(ROUNDS):
        # A lease that is renewed within the same millisecond changes nothing, and costs nothing.
        await asyncio.sleep(0.002)
        for name, call in calls.items():
            begun = time.perf_counter()
            await call(number)
            times[name].append((time.perf_counter() - begun) * 1000)
    return {f"{name}_p50_ms": median(found) for name, found in times.items()}


async def measure(url: str, bare_write: Call) -> dict[str, float]:
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

        found = await p50s_ms(
            {
                "bare_write": bare_write,
                "heartbeat": beat,
                "claim_release": claim,
                "set": write,
                "send_receive_ack": circle,
            }
        )
        times_bare = found["claim_release_p50_ms"] / found["bare_write_p50_ms"]
        rate = await messages_per_s(agent)
        return {**found, "claim_release_times_bare": times_bare, "messages_per_s": rate}


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


async def of_redis(server: Valkey) -> dict[str, float]:
    """Against a plain SET of the same server."""
    async with Redis.from_url(server.url) as client:
        return await measure(server.url, lambda number: client.set("bare", number))


async def of_file(folder: Path) -> dict[str, float]:
    """Against a plain transaction on the same disk."""
    db = sqlite3.connect(folder / "bare.sqlite", isolation_level=None)
    for statement in (
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = FULL",
        "CREATE TABLE bare (value INTEGER)",
    ):
        db.execute(statement)

    async def insert(number: int) -> None:
        db.execute("INSERT INTO bare VALUES (?)", (number,))

    try:
        return await measure(f"file:{folder}/store", insert)
    finally:
        db.close()


async def figures(folder: Path) -> dict[str, float]:
    """Of both stores."""
    server = Valkey(folder / "valkey").start()
    try:
        found = {"redis": await of_redis(server), "file": await of_file(folder)}
    finally:
        server.stop()
    return {
        f"{store}_{name}": round(value, 3)
        for store, part in found.items()
        for name, value in part.items()
    }


def main() -> int:
    """Print the figures against their bars."""
    with tempfile.TemporaryDirectory() as folder:
        return report("collaboration", asyncio.run(figures(Path(folder))))


if __name__ == "__main__":
    sys.exit(main())
