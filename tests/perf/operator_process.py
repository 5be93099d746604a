"""The operator as a process of its own, watched from outside."""

import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import aiohttp

READ_VERBS = frozenset({"get", "list", "watch"})
_REQUESTS = re.compile(r"^kube_api_requests_total\{(.*?)\} ([0-9.e+]+)$", re.MULTILINE)
_RECONCILES = re.compile(r"^controller_runtime_reconcile_total\{(.*)\} ([0-9.e+]+)$", re.MULTILINE)
_OF_MATCHER = 'controller="ToolMatcher"'
_VERB = re.compile(r'verb="(\w+)"')


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]


def count_requests(metrics: str, *, reads: bool) -> float:
    """API requests so far by the operator's metrics, without those of the Lease."""
    total = 0.0
    for labels, value in _REQUESTS.findall(metrics):
        verb = _VERB.search(labels)
        counts = verb and (reads or verb.group(1).lower() not in READ_VERBS)
        if counts and 'resource="leases"' not in labels:
            total += float(value)
    return total


class OperatorProcess:
    """A running operator with its metrics at hand."""

    def __init__(self, process: asyncio.subprocess.Process, metrics_port: int) -> None:
        self._process = process
        self._metrics = f"http://127.0.0.1:{metrics_port}/metrics"

    @classmethod
    async def start(cls, log: Path, kubeconfig: Path, **environ: str) -> "OperatorProcess":
        """Start it and wait until it has listed everything (its readiness)."""
        metrics, probes, progress = free_ports(3)
        environment = {
            **os.environ,
            "KUBECONFIG": str(kubeconfig),
            "FLAGSCALE_NAMESPACE": "default",
            "FLAGSCALE_METRICS_PORT": str(metrics),
            "FLAGSCALE_PROBE_PORT": str(probes),
            "FLAGSCALE_PROGRESS_PORT": str(progress),
            **environ,
        }
        with log.open("wb") as out:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "flagscale_operator", env=environment, stdout=out, stderr=out
            )
        operator = cls(process, metrics)
        await operator._ready(f"http://127.0.0.1:{probes}/readyz", log)
        return operator

    async def _ready(self, url: str, log: Path) -> None:
        async with aiohttp.ClientSession() as session:
            for _ in range(2400):  # a busy machine takes a minute
                if self._process.returncode is not None:
                    break
                try:
                    async with session.get(url) as response:
                        if response.status == 200:
                            return
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.05)
        msg = f"operator: not ready; see its log\n{log.read_text()[-2000:]}"
        raise RuntimeError(msg)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Stopped in its tracks meanwhile; its watches go on at the API server."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    async def while_it_runs(self, waiting: "asyncio.Task[None]") -> None:
        """Wait for what it should bring about; RuntimeError when it ends before."""
        ended = asyncio.create_task(self._process.wait())
        await asyncio.wait({waiting, ended}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            waiting.cancel()
            raise RuntimeError(f"operator: ended with exit code {ended.result()}; see its log")
        ended.cancel()
        await waiting

    async def wait_for_reconciles(self, wanted: int, *, of_matcher: bool = False) -> None:
        """Until that many reconciles were run: every object, or the matcher, was looked at."""
        async with aiohttp.ClientSession() as session:
            while True:
                async with session.get(self._metrics) as response:
                    found = _RECONCILES.findall(await response.text())
                runs = sum(float(n) for labels, n in found if of_matcher == (_OF_MATCHER in labels))
                if runs >= wanted:
                    return
                await asyncio.sleep(0.1)

    async def _count(self, *, reads: bool) -> float:
        async with aiohttp.ClientSession() as session, session.get(self._metrics) as response:
            return count_requests(await response.text(), reads=reads)

    async def requests(self) -> float:
        """API requests so far, without those of the Lease."""
        return await self._count(reads=True)

    async def writes(self) -> float:
        """API writes so far, without those of the Lease."""
        return await self._count(reads=False)

    def cpu_s(self) -> float:
        """CPU seconds used."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_mib(self) -> float:
        """Resident memory, MiB."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024  # type: ignore[union-attr]

    def kill(self) -> None:
        """End it without warning."""
        self._process.kill()

    async def stop(self) -> int:
        """Ask it to end; its exit code."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        return await self._process.wait()
