"""`python -m flagscale_workloads.agent.service`: serve the tools of a cluster, or of files."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sqlite3
import sys
from collections.abc import Iterator
from typing import Final

import uvicorn
import uvloop

from flagscale_workloads.agent.service.assembly import Assembly
from flagscale_workloads.agent.service.files import ToolFilesError, read_tools
from flagscale_workloads.agent.service.kube.api import NoClusterError
from flagscale_workloads.agent.service.settings import Settings, SettingsError, parse

_log = logging.getLogger("flagscale.tools")
_LAST_BYTES_S: Final = 2
BACKLOG: Final = 2048


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling, which would close the door at once."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are handled by who runs this server."""
        yield


async def serve(settings: Settings, listener: socket.socket) -> None:
    """Until SIGTERM or SIGINT; running requests end first."""
    assembly = Assembly(settings, os.environ)
    config = uvicorn.Config(
        assembly.application(),
        log_config=None,
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=_LAST_BYTES_S,
    )
    server = _Server(config)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stopping = asyncio.create_task(stop.wait())
    host, port = listener.getsockname()[:2]
    _log.info("serving at http://%s:%d, MCP at /mcp", host, port)
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    assembly.stop_listening()
    deadline = loop.time() + settings.grace_s
    while loop.time() < deadline:
        if not assembly.admission.running:
            break
        await asyncio.sleep(0.05)
    server.should_exit = True
    await serving
    _log.info("stopped")


def main() -> int:
    """0 after a clean stop; 1 with one sentence when it can't start."""
    logging.basicConfig(level=logging.INFO, format="[tools] %(message)s", stream=sys.stderr)
    # One line a request of ours is enough; the libraries say the same in their own words.
    for noisy in ("httpx2", "mcp"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        settings = parse()
        if settings.tools:
            read_tools(settings.tools)
        listener = socket.create_server((settings.host, settings.port), backlog=BACKLOG)
        uvloop.run(serve(settings, listener))
    except (SettingsError, ToolFilesError, NoClusterError, OSError, sqlite3.Error) as error:
        print(f"tools: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
