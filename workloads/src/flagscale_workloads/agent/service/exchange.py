"""What belongs to one request: who asks, and what ties it to a trace."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from starlette.requests import HTTPConnection

from flagscale_workloads.agent.service.callers import Caller

FORWARDED: Final = ("traceparent", "tracestate", "x-request-id")
KEY: Final = "flagscale.exchange"


@dataclass(frozen=True, slots=True)
class Exchange:
    """Made at the door, used by what answers."""

    caller: Caller
    trace: Mapping[str, str] = field(default_factory=dict)
    """Headers that are passed on to the tool."""


def exchange_of(request: HTTPConnection) -> Exchange:
    """That of a request that has passed the door."""
    found: Exchange = request.scope[KEY]
    return found
