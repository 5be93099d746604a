"""Bench of the gateway: ours and its peers before the same engine, in one run.

    make bench BENCH=gateway

The engine answers fixed bytes, so that it is not the limit. Ours runs with keys, limits, metrics,
prefix-aware balancing and health probes on. Requests go to loopback. The last line is one JSON
object.
"""

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import psutil
import uvloop

from perf.operator_process import free_ports
from perf.ranges import report
from perf.raw_load import OpenLoop, Target, closed_loop, milliseconds
from support.engines.environment import locked_python

KEY = "key-of-the-bench"
REQUESTS = 20_000
STREAMS = 400
CONNECTIONS = 32
RATE_PER_S = 100
ROUNDS = 3
ROUND_S = 8.0
READY_S = 60.0
HERE = Path(__file__).parent
Command = Callable[[int, int], list[str]]


def say(text: str) -> None:
    """One line of progress."""
    print(f"[bench gateway] {text}", flush=True)


def chat(port: int, *, stream: bool) -> Target:
    """A chat request of 200 words."""
    words = " ".join(f"word{number}" for number in range(200))
    body = {"model": "mock", "messages": [{"role": "user", "content": words}], "stream": stream}
    data = json.dumps(body).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {KEY}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
    )
    return Target(port, head.encode() + data)


@dataclass(frozen=True, slots=True)
class Contestant:
    """A running process that answers on a port."""

    name: str
    port: int
    process: psutil.Process

    def cpu_s(self) -> float:
        """CPU seconds of it and what it has started."""
        family = [self.process, *self.process.children(recursive=True)]
        return sum(sum(member.cpu_times()[:2]) for member in family)


@asynccontextmanager
async def running(name: str, command: list[str], port: int) -> AsyncIterator[Contestant]:
    """Start a process and wait until it answers a chat."""
    with tempfile.TemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=log, stderr=log, start_new_session=True
        )
        contestant = Contestant(name, port, psutil.Process(process.pid))
        family: list[psutil.Process] = []
        try:
            await _answers(contestant, process, log)
            yield contestant
            family = contestant.process.children(recursive=True)
        finally:
            if process.returncode is None:
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 20)
            except TimeoutError:
                process.kill()
            for member in family:
                if member.is_running():
                    member.kill()


async def _answers(
    contestant: Contestant, process: asyncio.subprocess.Process, log: BinaryIO
) -> None:
    target = chat(contestant.port, stream=False)
    for _ in range(int(READY_S / 0.25)):
        try:
            await closed_loop(target, requests=1, connections=1)
        except (OSError, RuntimeError):
            if process.returncode is not None:
                break
            await asyncio.sleep(0.25)
        else:
            return
    log.seek(0)
    msg = f"{contestant.name}: does not answer\n{log.read().decode()[-2000:]}"
    raise RuntimeError(msg)


def our_command(folder: Path) -> Command:
    """Ours, with everything on."""
    keys = {"name": "bench", "key": KEY, "requestsPerMinute": 10**9, "tokensPerMinute": 10**9}
    (folder / "keys.json").write_text(json.dumps({"keys": [keys | {"concurrency": 1000}]}))

    def command(port: int, engine_port: int) -> list[str]:
        config = {
            "model": {"name": "mock", "path": "/tmp"},
            "engine": {"name": "simulator"},
            "gateway": {"port": port, "perReplicaConcurrency": 1000},
            "auth": {"keysFile": str(folder / "keys.json")},
        }
        path = folder / f"gateway-{port}.yaml"
        path.write_text(json.dumps(config))
        return [sys.executable, "-m", "perf.gateway_process", str(path), str(engine_port)]

    return command


def peer_commands(python: Path) -> dict[str, Command]:
    """The peers, each as its own documentation starts it."""
    tools = python.parent
    launch = [str(tools / "smg"), "launch", "--host", "127.0.0.1", "--log-level", "error"]
    router = [str(tools / "vllm-router"), "--host", "127.0.0.1", "--log-level", "error"]

    def smg(port: int, engine_port: int) -> list[str]:
        (metrics,) = free_ports(1)
        worker = ["--worker-urls", f"http://127.0.0.1:{engine_port}", "--policy", "cache_aware"]
        return [*launch, "--port", str(port), *worker, "--prometheus-port", str(metrics)]

    def vllm_router(port: int, engine_port: int) -> list[str]:
        (metrics,) = free_ports(1)
        worker = ["--worker-urls", f"http://127.0.0.1:{engine_port}", "--policy", "cache_aware"]
        return [*router, "--port", str(port), *worker, "--prometheus-port", str(metrics)]

    def ray_serve(port: int, engine_port: int) -> list[str]:
        # -P: this folder's modules must not stand before those of Python.
        return [str(python), "-P", str(HERE / "ray_passthrough.py"), str(port), str(engine_port)]

    return {"smg": smg, "vllm_router": vllm_router, "ray_serve": ray_serve}


async def throughput(contestant: Contestant, *, stream: bool) -> tuple[float, float]:
    """Requests per second, and CPU seconds per 1,000 of them."""
    target = chat(contestant.port, stream=stream)
    requests = STREAMS if stream else REQUESTS
    if contestant.name == "ray_serve":
        requests //= 10
    await closed_loop(target, requests=requests // 20, connections=CONNECTIONS)
    before = contestant.cpu_s()
    rate = await closed_loop(target, requests=requests, connections=CONNECTIONS)
    return rate, (contestant.cpu_s() - before) * 1000 / requests


async def latencies(contestants: list[Contestant]) -> dict[str, list[float]]:
    """Percentiles in ms at a constant rate; rounds take turns, so that all see the same machine."""
    times: dict[str, list[float]] = {contestant.name: [] for contestant in contestants}
    for number in range(ROUNDS):
        say(f"latency at {RATE_PER_S}/s, round {number + 1} of {ROUNDS}")
        for contestant in contestants:
            loop = OpenLoop(chat(contestant.port, stream=False))
            times[contestant.name] += await loop.run(rate_per_s=RATE_PER_S, duration_s=ROUND_S)
    return {
        name: [milliseconds(taken, percent) for percent in (50, 95, 99)]
        for name, taken in times.items()
    }


async def measure(folder: Path, peers: dict[str, Command]) -> dict[str, float]:
    """Everything; peers that are not measured at the same time are started and ended in turn."""
    figures: dict[str, float] = {}
    (engine_port,) = free_ports(1)
    mock = [sys.executable, "-m", "perf.mock_engine", "--port", str(engine_port)]
    async with running("direct", mock, engine_port) as direct:
        rate, cpu = await throughput(direct, stream=False)
        say(f"direct: {rate:.0f} requests/s, engine {cpu:.3f} CPU s per 1,000")
        commands = {"ours": our_command(folder), **peers}
        for name, command in commands.items():
            (port,) = free_ports(1)
            async with running(name, command(port, engine_port), port) as contestant:
                figures |= await _one(contestant, direct)
    return figures


async def _one(contestant: Contestant, direct: Contestant) -> dict[str, float]:
    name = contestant.name
    rate, cpu = await throughput(contestant, stream=False)
    found = {f"{name}_requests_per_s": rate, f"{name}_cpu_s_per_1000": cpu}
    if name != "ray_serve":
        streams, stream_cpu = await throughput(contestant, stream=True)
        found |= {f"{name}_streams_per_s": streams, f"{name}_stream_cpu_s_per_1000": stream_cpu}
    percentiles = await latencies([direct, contestant])
    for place, percent in enumerate((50, 95, 99)):
        added = percentiles[name][place] - percentiles["direct"][place]
        found[f"{name}_added_p{percent}_ms"] = added
    say(", ".join(f"{key.removeprefix(name + '_')} {value:.3f}" for key, value in found.items()))
    return found


def main() -> int:
    """Print the figures against their bars."""
    python = locked_python("peers", HERE / "peers")
    with tempfile.TemporaryDirectory(prefix="flagscale-bench-") as name:
        found = uvloop.run(measure(Path(name), peer_commands(python)))
    figures = {key.removeprefix("ours_"): round(value, 3) for key, value in found.items()}
    ratio = figures["cpu_s_per_1000"] / figures["smg_cpu_s_per_1000"]
    say(f"added p50 {figures['added_p50_ms']} ms (bar 1.2), p95 {figures['added_p95_ms']} ms (3)")
    say(f"CPU per request / smg's: {ratio:.2f} (bar 1.3)")
    faster = figures["requests_per_s"] / figures["ray_serve_requests_per_s"]
    say(f"requests/s / Ray Serve's: {faster:.1f} (bar 3)")
    return report("gateway", figures)


if __name__ == "__main__":
    sys.exit(main())
