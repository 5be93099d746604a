"""What every request passes first: who asks, and whether that is not too often."""

from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from flagscale_api.runtime.tool_index import INDEX_PATH
from flagscale_workloads.agent.service.admission import Admission
from flagscale_workloads.agent.service.callers import Authenticator
from flagscale_workloads.agent.service.errors import ServiceError
from flagscale_workloads.agent.service.exchange import FORWARDED, KEY, Exchange

OPEN: Final = frozenset({"/health", "/ready", "/metrics", "/openapi.json", INDEX_PATH})
"""Pages without anything secret."""


def refusal(error: ServiceError) -> Response:
    """The answer to a refused request."""
    return Response(
        error.body(), error.status, headers=error.headers(), media_type="application/json"
    )


@dataclass(frozen=True, slots=True)
class Entrance:
    """Who is let in."""

    authenticator: Authenticator
    admission: Admission

    async def exchange(self, headers: Headers) -> Exchange:
        """That of a request. Raises ServiceError."""
        caller = await self.authenticator.caller(headers.get("authorization"))
        self.admission.take(caller.name)
        trace = {name: headers[name] for name in FORWARDED if name in headers}
        return Exchange(caller, trace)


class Door:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, entrance: Entrance) -> None:
        self._app = app
        self._entrance = entrance

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http" and scope["path"] not in OPEN:
            try:
                scope[KEY] = await self._entrance.exchange(Headers(scope=scope))
            except ServiceError as error:
                await refusal(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)
