"""One request through: a replica, its answer, another replica where the first gave none."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from flagscale_workloads.serve.dispatch import Dispatcher
from flagscale_workloads.serve.engine_error import error_answer
from flagscale_workloads.serve.events import EventStream, Usage, find_usage
from flagscale_workloads.serve.http.messages import JSON, Headers, HttpError, error_body
from flagscale_workloads.serve.http.upstream import (
    ResponseHead,
    Timeouts,
    UpstreamConnection,
    UpstreamError,
)
from flagscale_workloads.serve.metrics import GatewayMetrics
from flagscale_workloads.serve.policies import RouteKey
from flagscale_workloads.serve.replicas import Replica

_log = logging.getLogger(__name__)
ANSWER_LIMIT_BYTES: Final = 256 * 1024 * 1024
NOT_IMPLEMENTED: Final = 501


class Sink(Protocol):
    """Where an answer goes: an HTTP exchange or a frame of a WebSocket."""

    def send(self, status: int, content_type: bytes, body: bytes, headers: Headers = ()) -> None:
        """The whole answer."""

    def start(self, status: int, content_type: bytes, headers: Headers = ()) -> None:
        """The head of a streamed answer."""

    def write(self, data: bytes) -> None:
        """A part of it."""

    async def drained(self) -> None:
        """Until the client has taken what was written."""

    def finish(self, last: bytes = b"") -> None:
        """Its end."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request on its way to an engine."""

    data: bytes
    """Head and body, as the engine gets them."""
    key: RouteKey
    started_at: float


@dataclass(slots=True)
class Bill:
    """What a call has used so far, also when it is cancelled on the way."""

    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class Ejection:
    """When a failing replica is left alone."""

    failures: int
    ejection_s: float


@dataclass(frozen=True, slots=True)
class Forwarder:
    """Carries calls to replicas."""

    dispatcher: Dispatcher
    metrics: GatewayMetrics
    timeouts: Timeouts
    ejection: Ejection
    retries: int
    now: Callable[[], float]

    async def forward(self, call: Call, sink: Sink, bill: Bill, headers: Headers = ()) -> None:
        """Answer a call and bill what it used. Raises HttpError only while nothing was sent.

        Before the first byte a failure moves the call to another replica, `retries` times.
        After it, a failure ends the stream with an error event.
        """
        tried: list[str] = []
        while True:
            replica = await self.dispatcher.acquire(call.key, exclude=tried)
            try:
                if not tried:
                    self.metrics.queued(self.now() - call.started_at)
                await self._attempt(replica, call, sink, bill, headers)
            except _AttemptError as failure:
                tried.append(replica.name)
                self._note(replica, failure)
                if len(tried) > self.retries:
                    failure.give_up(sink, headers)
                    return
            else:
                return
            finally:
                self.dispatcher.release(replica)

    async def _attempt(
        self, replica: Replica, call: Call, sink: Sink, bill: Bill, headers: Headers
    ) -> None:
        connection = None
        try:
            connection, head = await self._ask(replica, call)
            if head.status >= 500 and head.status != NOT_IMPLEMENTED:
                body = await connection.read_all(ANSWER_LIMIT_BYTES)
                raise _AttemptError("upstream_5xx", f"status {head.status}", head=head, body=body)
            if head.streams:
                await self._relay(replica, connection, head, call, sink, bill, headers)
                return
            body = await connection.read_all(ANSWER_LIMIT_BYTES)
            replica.succeeded()
            bill.usage = find_usage(body) or Usage()
            _send(sink, head, body, headers)
        except UpstreamError as error:
            raise _AttemptError(error.kind, str(error)) from error
        finally:
            if connection:
                replica.pool.release(connection)

    async def _ask(self, replica: Replica, call: Call) -> tuple[UpstreamConnection, ResponseHead]:
        """Send the call; a kept connection that the engine has closed meanwhile is replaced."""
        fresh = False
        while True:
            connection = await replica.pool.acquire(fresh=fresh)
            try:
                connection.request(call.data, timeouts=self.timeouts)
                return connection, await connection.head()
            except BaseException as error:
                replica.pool.release(connection)
                stale = isinstance(error, UpstreamError) and error.kind == "stale"
                if fresh or not stale:
                    raise
            fresh = True

    async def _relay(
        self,
        replica: Replica,
        connection: UpstreamConnection,
        head: ResponseHead,
        call: Call,
        sink: Sink,
        bill: Bill,
        headers: Headers,
    ) -> None:
        stream = EventStream()
        piece = await connection.read()
        first_at = self.now()
        self.metrics.first_byte(first_at - call.started_at)
        sink.start(head.status, head.content_type, headers)
        try:
            while piece is not None:
                stream.feed(piece)
                sink.write(piece)
                await sink.drained()
                piece = await connection.read()
            if not stream.complete:
                raise UpstreamError("the stream ended without [DONE]")
            replica.succeeded()
            sink.finish()
        except UpstreamError as error:
            self._note(replica, _AttemptError("truncated", str(error)))
            sink.finish(stream.closing(_died(replica, error)))
        finally:
            bill.usage = stream.usage() or Usage(generated=stream.events)
        if bill.usage.generated > 1:
            self.metrics.per_token((self.now() - first_at) / (bill.usage.generated - 1))

    def _note(self, replica: Replica, failure: "_AttemptError") -> None:
        self.metrics.error(failure.class_)
        _log.warning("replica %s: %s (%s)", replica.name, failure.reason, failure.class_)
        if failure.class_ == "connect":
            # Nobody listens: the next probe that finds it healthy brings it back.
            replica.ready = False
        now = self.now()
        if replica.failed(now, limit=self.ejection.failures, ejection_s=self.ejection.ejection_s):
            _log.warning("replica %s: ejected until %.1f", replica.name, replica.ejected_until)


def _died(replica: Replica, error: UpstreamError) -> bytes:
    message = f"replica {replica.name}: the answer broke off ({error}); send the request again"
    return error_body(502, "upstream_lost", message)


def _send(sink: Sink, head: ResponseHead, body: bytes, headers: Headers) -> None:
    if head.status < 400:
        sink.send(head.status, head.content_type, body, headers)
    else:
        told, further = error_answer(head, body)
        sink.send(head.status, JSON, told, (*headers, *further))


class _AttemptError(Exception):
    """A replica gave no answer that the client could have."""

    def __init__(
        self, class_: str, reason: str, *, head: ResponseHead | None = None, body: bytes = b""
    ) -> None:
        super().__init__(reason)
        self.class_ = class_
        self.reason = reason
        self._head = head
        self._body = body

    def give_up(self, sink: Sink, headers: Headers) -> None:
        """Tell the client: the engine's own error where it gave one."""
        if self._head is None:
            message = f"gateway: no replica answered ({self.reason}); try again later"
            raise HttpError(502, self.class_, message, headers=((b"retry-after", b"1"),))
        _send(sink, self._head, self._body, headers)
