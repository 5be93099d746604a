"""The process: it listens at once, loads, serves, and ends its requests before itself."""

import asyncio
import contextlib
import logging
import signal
import socket
import threading
from collections.abc import Iterator
from typing import Any, Final

import uvicorn

from flagscale_workloads.inference.app import EngineApp
from flagscale_workloads.inference.engine import InferenceEngine
from flagscale_workloads.inference.errors import LoadError

_LAST_STEP_S: Final = 2.0
"""How long the model's thread may finish what it computes."""
_LAST_BYTES_S: Final = 2
"""How long answers that are complete may be sent."""

log = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling, which would close the door at once."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are handled by who runs this server."""
        yield


async def serve(engine: InferenceEngine, *, listener: socket.socket, grace_s: float) -> int:
    """Serve until SIGTERM or SIGINT; exit code 0, or 1 for a model that can't be loaded."""
    app = EngineApp(engine)
    config = uvicorn.Config(
        app.application(),
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=_LAST_BYTES_S,
    )
    server = _Server(config)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loading = _load_in_thread(engine)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stopping = asyncio.create_task(stop.wait())
    waiting_for: set[asyncio.Future[Any]] = {stopping, serving, loading}
    await asyncio.wait(waiting_for, return_when=asyncio.FIRST_COMPLETED)
    failed = loading.done() and loading.result() is not None
    if not failed:
        await asyncio.wait({stopping, serving}, return_when=asyncio.FIRST_COMPLETED)
    app.draining = True
    if not await app.open.ended(timeout_s=grace_s):
        log.warning("%d requests are cut off after %s s", app.open.count, grace_s)
    await asyncio.to_thread(engine.close, timeout_s=_LAST_STEP_S)
    server.should_exit = True
    await serving
    return 1 if failed else 0


def _load_in_thread(engine: InferenceEngine) -> "asyncio.Future[str | None]":
    """Load; the result is why it failed, or None. A daemon, so that a stop need not wait."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[str | None] = loop.create_future()

    def load() -> None:
        reason = None
        try:
            engine.load()
            log.info("serving %s", engine.settings.served_name)
        except LoadError as error:
            reason = str(error)
            log.error("%s", reason)
        except Exception as error:
            reason = str(error)
            log.exception("the model can't be loaded")
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(done.set_result, reason)

    threading.Thread(target=load, name="load", daemon=True).start()
    return done
