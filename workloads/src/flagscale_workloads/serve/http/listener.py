"""What all client connections of one gateway share: the handler, limits, and their end."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flagscale_workloads.serve.http.exchange import Exchange

if TYPE_CHECKING:
    from flagscale_workloads.serve.http.connection import ServerConnection

Handler = Callable[["Exchange"], Awaitable[None]]


@dataclass(slots=True)
class Listener:
    """What all connections of one gateway share."""

    handle: Handler
    now: Callable[[], float]
    max_body_bytes: int
    max_connections: int
    head_timeout_s: float = 10.0
    idle_timeout_s: float = 60.0
    request_timeout_s: float = 600.0
    """Longest time from a request's first byte to its last."""
    closing: bool = False
    connections: set["ServerConnection"] = field(default_factory=set)

    def close_idle(self) -> None:
        """End keep-alive connections that wait for nothing; the others close after their answer."""
        self.closing = True
        for connection in list(self.connections):
            connection.close_if_idle()

    def expire(self) -> None:
        """End connections whose client is too slow or silent."""
        now = self.now()
        for connection in list(self.connections):
            if connection.deadline < now:
                connection.expire()
