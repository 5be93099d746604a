"""The Ray Serve application of a RayService: each replica keeps one serving process in its pod.

Requests do not pass through Ray: the gateway sends them to the pods. Ray Serve decides how many
replicas there are and where, and starts them anew when they fail.
"""

import os
from pathlib import Path
from typing import Final

from ray import serve
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from flagscale_workloads.ray_serve.child import (
    PID_FILE,
    POD_LOG,
    STOPPING_FILE,
    ServingProcess,
    end,
    recorded_pid,
)

CONFIG: Final = Path("/etc/flagscale/serve.json")
DOOR: Final = "http://127.0.0.1:8000/health"
STOP_S: Final = 20.0
"""For a process that a replica before this one has left behind."""


@serve.deployment(name="Engine")
class Engine:
    """One engine, ready once it has generated a token."""

    async def __init__(self) -> None:  # type: ignore[misc] # Serve awaits it
        """Raises ServingExitedError when the engine can't load the model."""
        left = recorded_pid()
        if left:
            await end(left, grace_s=STOP_S)
        self._serving = await ServingProcess.start(
            CONFIG, environ=os.environ, pid_file=PID_FILE, log=POD_LOG
        )
        await self._serving.await_ready(DOOR)

    async def check_health(self) -> None:
        """Raise when the process has ended and the pod goes on: Serve starts a replica anew."""
        if not STOPPING_FILE.exists():
            await self._serving.check()

    async def __del__(self) -> None:
        """Running requests may end: Serve kills the replica after its own time for that."""
        serving = getattr(self, "_serving", None)
        if serving:
            await end(serving.process.pid, grace_s=3600.0)

    async def __call__(self, request: Request) -> PlainTextResponse:
        """Tell whoever asks Ray's own proxy where the door is."""
        del request
        return PlainTextResponse("ask the service's gateway\n", status_code=421)


app = Engine.bind()  # type: ignore[attr-defined]
