"""What stands before every endpoint: the phase of the process and the faults it was told."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from flagscale_workloads.inference.simulator.api_error import ApiError
from flagscale_workloads.inference.simulator.delivery import ClientGoneError, unless_gone
from flagscale_workloads.inference.simulator.engine import DEATH
from flagscale_workloads.inference.simulator.faults import FaultScript
from flagscale_workloads.inference.simulator.phase import Life

Endpoint = Callable[[Request], Awaitable[Response]]
# nginx's status for a client that has closed; nobody reads it.
_CLIENT_GONE: Final = 499


class Gate:
    """Lets requests in, or lets them suffer."""

    def __init__(self, script: FaultScript, life: Life, *, die: Callable[[int], object]) -> None:
        self._script = script
        self._life = life
        self._die = die

    def inference(self, endpoint: Endpoint) -> Endpoint:
        """An endpoint that is counted and may fail; ApiError 503 while it takes no requests."""

        async def respond(request: Request) -> Response:
            phase = self._life.phase
            if phase != "ready":
                raise ApiError(503, f"engine: takes no requests, it is {phase}", code=phase)
            # The body is read in any case: what follows it is a disconnect.
            await request.body()
            fate = self._script.next_request()
            if fate == "dead":
                self._die(DEATH)
            if fate == "failed":
                status = self._script.faults.fail_status
                raise ApiError(status, "engine: fails as it was told", code="simulated_failure")
            return await _answer(_hang if fate == "hung" else endpoint, request)

        return respond

    def telling(self, endpoint: Endpoint) -> Endpoint:
        """An endpoint that is silent only if all is."""

        async def respond(request: Request) -> Response:
            hung = self._script.faults.hang == "all"
            await request.body()
            return await _answer(_hang if hung else endpoint, request)

        return respond


async def _answer(endpoint: Endpoint, request: Request) -> Response:
    try:
        return await endpoint(request)
    except ClientGoneError:
        return Response(status_code=_CLIENT_GONE)


async def _hang(request: Request) -> Response:
    await unless_gone(request.receive, asyncio.Event().wait())
    raise ClientGoneError
