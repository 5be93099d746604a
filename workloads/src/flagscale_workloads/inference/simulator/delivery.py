"""Gets answers to clients, and notices clients that have gone."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from flagscale_workloads.inference.simulator.engine import Ticket
from flagscale_workloads.inference.simulator.forms import Body, Form, Usage, encode, event

Result = TypeVar("Result")


class ClientGoneError(Exception):
    """Nobody is there to answer."""


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, Result]) -> Result:
    """The result of the work; cancels it and raises ClientGoneError once the client disconnects."""
    tasks = asyncio.ensure_future(work), asyncio.ensure_future(_disconnect(receive))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not tasks[0].done():
            raise ClientGoneError
        return tasks[0].result()
    finally:
        for task in tasks:
            task.cancel()


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def json_response(body: Body) -> Response:
    """A body of ours."""
    return Response(encode(body), media_type="application/json")


def usage_of(ticket: Ticket) -> Usage:
    """The tokens of a request, so far."""
    sequence = ticket.sequence
    return Usage(sequence.prompt_tokens, sequence.cached, sequence.generated)


async def frames(form: Form, ticket: Ticket, *, include_usage: bool) -> AsyncIterator[bytes]:
    """The events of a stream, each as soon as its token is there; the first with the first."""
    told = 0
    while told < len(form.answer.pieces):
        ready = await ticket.beyond(told)
        chunks = list(form.opening()) if told == 0 else []
        chunks += [c for i in range(told, ready) if (c := form.piece(i)) is not None]
        told = ready
        if chunks:
            yield b"".join(map(event, chunks))
    yield event(form.closing())
    if include_usage:
        yield event(form.final_usage(usage_of(ticket)))
    yield b"data: [DONE]\n\n"


class EventStream(Response):
    """Server-sent events; headers leave with the first one, and `close` is called in any case."""

    def __init__(self, events: AsyncIterator[bytes], close: Callable[[], object]) -> None:
        self._events = events
        self._close = close
        self.background = None
        self.status_code = 200
        self.init_headers({"content-type": "text/event-stream", "cache-control": "no-cache"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send all events, or as many as the client waits for."""
        del scope
        try:
            await unless_gone(receive, self._send(send))
        except ClientGoneError:
            pass
        finally:
            self._close()

    async def _send(self, send: Send) -> None:
        started = False
        async for data in self._events:
            if not started:
                head = {"type": "http.response.start", "status": self.status_code}
                await send({**head, "headers": self.raw_headers})
                started = True
            await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
