"""Agents in processes of their own, to be killed: python -m support.agent_process JSON.

Each line on stdout is one JSON value.
"""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Part:
    """What a process does."""

    role: str
    url: str
    namespace: str
    name: str
    lease_s: float = 1.0
    skew_s: float = 0.0
    """Added to the process's wall clock, whoever asks for it."""


async def sit(agent: Any, part: Part) -> None:
    """Holds a claim and beats, for as long as it lives."""
    claim = await agent.claim(f"{part.name}s-thing", wait_s=60)
    await agent.set(f"{part.name}s-value", 1, claim=claim)
    say({"token": claim.token})
    async with agent.beating() as ended:
        await ended.wait()
    say({"ended": True})


async def count(agent: Any, part: Part) -> None:
    """Counts a shared number up, with nothing against others but the claim and its token."""
    from flagscale_workloads.agent.collaboration import (
        AgentInfo,
        ClaimHeldError,
        LeaseEndedError,
        StaleClaimError,
    )

    async with agent.beating():
        while True:
            try:
                claim = await agent.claim("the-number", wait_s=60)
                entry = await agent.get("number")
                value = entry.value if entry else 0
                await asyncio.sleep(0.002)
                await agent.set("number", value + 1, claim=claim)
            except (ClaimHeldError, StaleClaimError) as error:
                say({"refused": str(error)})
                continue
            except LeaseEndedError as error:
                # The machine was too busy for a heartbeat.
                say({"refused": str(error)})
                await agent.register(AgentInfo(part.name), lease_s=part.lease_s)
                continue
            say({"token": claim.token, "counted": value + 1})
            await agent.release(claim)


async def grab(agent: Any, part: Part) -> None:
    """Takes messages and never acknowledges one."""
    deliveries = await agent.receive("jobs", "workers", count=5, wait_s=60)
    say({"got": [one.message.body for one in deliveries]})
    await asyncio.sleep(3600)


async def consume(agent: Any, part: Part) -> None:
    """Works off messages one by one; says so before it acknowledges."""
    while True:
        for one in await agent.receive("jobs", "workers", count=3, wait_s=5, redeliver_after_s=0.5):
            await asyncio.sleep(0.002)
            say({"done": one.message.body, "deliveries": one.deliveries})
            await agent.ack(one)


ROLES = {"sit": sit, "count": count, "grab": grab, "consume": consume}


def say(value: object) -> None:
    """One line for the test."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


async def main(part: Part) -> None:
    """Join and play the part."""
    from flagscale_workloads.agent.collaboration import AgentInfo, Collaborator

    async with Collaborator.connect(part.url, part.namespace) as agent:
        await agent.register(AgentInfo(part.name), lease_s=part.lease_s)
        say({"registered": agent.me.number})
        await ROLES[part.role](agent, part)


def skew(seconds: float) -> None:
    """Set this process's wall clock wrong, before anything else is imported."""
    real, real_ns = time.time, time.time_ns
    time.time = lambda: real() + seconds
    time.time_ns = lambda: real_ns() + int(seconds * 1e9)


@dataclass
class AgentProcess:
    """A running one."""

    part: Part
    process: subprocess.Popen[str]
    out: Path

    def kill(self) -> None:
        """As a crash or the kernel's memory killer does it."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(20)

    def lines(self) -> list[Any]:
        """What it has said so far; a line that it was killed in does not count."""
        text = self.out.read_text()
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def heard(self, key: str, timeout_s: float = 30) -> Any:
        """Wait for a value that it says."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and self.process.poll() is None:
            for line in self.lines():
                if key in line:
                    return line[key]
            time.sleep(0.01)
        msg = f"{self.part.name} never said {key}, but {self.lines()[-3:]}"
        raise TimeoutError(msg)


@contextmanager
def playing(folder: Path) -> Iterator[Any]:
    """Starts processes; none is left at the end."""
    started: list[AgentProcess] = []

    def start(part: Part) -> AgentProcess:
        out = folder / f"{part.name}-{len(started)}.out"
        stream: IO[str]
        with out.open("w") as stream, out.with_suffix(".err").open("w") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "support.agent_process", json.dumps(asdict(part))],
                stdout=stream,
                stderr=errors,
                text=True,
                cwd=ROOT / "tests",
            )
        started.append(AgentProcess(part, process, out))
        return started[-1]

    try:
        yield start
    finally:
        for one in started:
            one.kill()


if __name__ == "__main__":
    mine = Part(**json.loads(sys.argv[1]))
    if mine.skew_s:
        skew(mine.skew_s)
    asyncio.run(main(mine))
