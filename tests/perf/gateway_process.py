"""Our gateway before engines that exist: `python -m perf.gateway_process CONFIG PORT...`.

The same `ServeEngine` that `python -m flagscale_workloads.serve` runs, without engine processes.
"""

import asyncio
import signal
import sys
from pathlib import Path

import uvloop

from flagscale_workloads.backends.registry import adapter_of
from flagscale_workloads.serve.config_file import read_config
from flagscale_workloads.serve.replicas import Replica
from flagscale_workloads.serve.service import ServeEngine


async def run(config_path: Path, ports: list[int]) -> None:
    """Serve until SIGTERM."""
    config = read_config(config_path)
    adapter = adapter_of(config.engine.name)
    service = ServeEngine(config, adapter, device="cpu", python=Path(sys.executable), environ={})
    await service.start_service()
    for number, port in enumerate(ports):
        service.replicas.add(Replica.at(f"r{number}", "127.0.0.1", port))
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await service.stop()


if __name__ == "__main__":
    uvloop.run(run(Path(sys.argv[1]), [int(port) for port in sys.argv[2:]]))
