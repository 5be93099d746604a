"""The tool service as a process of its own, over a folder of AgentTools."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx2
import psutil
import yaml

READY_S = 60
COMMAND = (sys.executable, "-m", "flagscale_workloads.agent.service")


class ToolServiceProcess:
    """Where it listens, and what it said."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.said: list[str] = []
        self.url = ""
        self._listening: asyncio.Task[None] | None = None

    async def until_serving(self) -> None:
        """Until it has told its address and is ready."""
        assert self.process.stderr
        async with asyncio.timeout(READY_S):
            while line := (await self.process.stderr.readline()).decode():
                self.said.append(line.rstrip())
                if "serving at " in line:
                    self.url = line.partition("serving at ")[2].partition(",")[0]
                    break
            else:
                raise AssertionError("\n".join(self.said))
            self._listening = asyncio.create_task(self._listen())
            await self.until(self._is_ready)

    async def _listen(self) -> None:
        assert self.process.stderr
        while line := (await self.process.stderr.readline()).decode():
            self.said.append(line.rstrip())

    async def _is_ready(self) -> bool:
        async with self.client() as client:
            try:
                return (await client.get("/ready")).status_code == 200
            except httpx2.HTTPError:
                return False

    def client(self, **options: Any) -> httpx2.AsyncClient:
        """An HTTP client of it."""
        return httpx2.AsyncClient(base_url=self.url, trust_env=False, timeout=30, **options)

    def embedder(self) -> psutil.Process | None:
        """Its child with the model."""
        children = psutil.Process(self.process.pid).children()
        found = [one for one in children if one.status() != psutil.STATUS_ZOMBIE]
        return found[0] if found else None

    def write(self, file: str, *tools: Mapping[str, Any]) -> None:
        """Put AgentTools into a file of its folder, at once."""
        partial = self.folder / f".{file}"
        partial.write_text(yaml.safe_dump_all(tools))
        partial.rename(self.folder / file)

    def delete(self, file: str) -> None:
        """Take a file away."""
        (self.folder / file).unlink()

    async def until(self, holds: Any, timeout_s: float = 20) -> None:
        """Until a coroutine function says true."""
        async with asyncio.timeout(timeout_s):
            while True:
                if await holds():
                    return
                await asyncio.sleep(0.02)

    async def end(self) -> int:
        """Stop it as the kubelet does; its exit code."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(READY_S):
            code = await self.process.wait()
            if self._listening:
                await self._listening
        return code


@asynccontextmanager
async def tool_service(
    folder: Path,
    *options: str,
    environ: Mapping[str, str] | None = None,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> AsyncIterator[ToolServiceProcess]:
    """It serves the tools of a folder, those on this machine, too; with `environ`, a cluster's."""
    local = () if environ else ("--tools", str(folder), "--allow-loopback")
    process = await asyncio.create_subprocess_exec(
        *(*COMMAND, "--port", "0", *local, *options),
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **(environ or {}), **variables},
    )
    service = ToolServiceProcess(process, folder)
    try:
        await service.until_serving()
        yield service
    finally:
        await service.end()


def agent_tool(name: str, description: str, **spec: Any) -> dict[str, Any]:
    """An AgentTool; tools on this machine may be called."""
    if "http" in spec or "mcp" in spec:
        spec.setdefault("egress", {"internalHosts": ["127.0.0.1", "localhost"]})
    return {
        "apiVersion": "flagscale.dev/v1alpha1",
        "kind": "AgentTool",
        "metadata": {"name": name, "namespace": "team"},
        "spec": {"description": description, **spec},
    }
