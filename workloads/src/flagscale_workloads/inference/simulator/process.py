"""The process: a server that finishes what it has begun when it is told to end."""

import asyncio
import contextlib
import os
import signal
import socket
import time
from types import FrameType
from typing import Final

import uvicorn

from flagscale_workloads.inference.simulator.answers import Author
from flagscale_workloads.inference.simulator.app import Parts, build_app
from flagscale_workloads.inference.simulator.engine import Engine
from flagscale_workloads.inference.simulator.faults import FaultScript
from flagscale_workloads.inference.simulator.options import Options
from flagscale_workloads.inference.simulator.phase import Life
from flagscale_workloads.inference.simulator.scheduler import Scheduler

_BACKLOG: Final = 2048


class _Server(uvicorn.Server):
    """Drains before it shuts down, and then exits with 0."""

    def __init__(self, config: uvicorn.Config, life: Life) -> None:
        super().__init__(config)
        self._life = life

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """First signal: drain; uvicorn's own way would raise the signal again at the end."""
        del frame
        if self._life.phase == "draining" and sig == signal.SIGINT:
            self.should_exit = self.force_exit = True
        self._life.drain()


def listen(host: str, port: int) -> socket.socket:
    """A socket that takes connections already; OSError when the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


async def serve(options: Options, listener: socket.socket) -> None:
    """Answer until SIGTERM and at most `grace_s` beyond it."""
    script, life = FaultScript(options.faults), Life(options.startup_s / options.speed)
    engine = Engine(Scheduler(options.costs, options.limits), script, speed=options.speed)
    author = Author(options.served_model_name, options.seed, options.answer_tokens)
    parts = Parts(author, engine, script, life, options.request_tokens, os._exit)
    config = uvicorn.Config(
        build_app(parts),
        http="httptools",
        ws="none",
        backlog=_BACKLOG,
        lifespan="off",
        log_level="warning",
        access_log=False,
        timeout_keep_alive=75,
    )
    server = _Server(config, life)
    async with asyncio.TaskGroup() as tasks:
        others = [
            tasks.create_task(engine.run()),
            tasks.create_task(_end_in_time(server, engine, life, options.grace_s)),
        ]
        await server.serve(sockets=[listener])
        for task in others:
            task.cancel()


async def _end_in_time(server: _Server, engine: Engine, life: Life, grace_s: float) -> None:
    """Once draining, shut down when all is answered or the time is over."""
    await life.draining()
    end = time.monotonic() + grace_s
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(engine.idle(), grace_s)
    # What is computed may still be on its way; uvicorn takes whole seconds.
    server.config.timeout_graceful_shutdown = max(1, int(end - time.monotonic()))
    server.should_exit = True
