"""The engine behind OpenAI's HTTP, as an ASGI application."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from flagscale_workloads.inference import responses
from flagscale_workloads.inference.engine import InferenceEngine
from flagscale_workloads.inference.errors import RequestError, internal, not_ready
from flagscale_workloads.inference.events import ClientGone, Events, unless_gone
from flagscale_workloads.inference.jobs import Event, TextPiece, is_last
from flagscale_workloads.inference.open_requests import OpenRequests
from flagscale_workloads.inference.protocol import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    GenerationRequest,
    ImageRequest,
    Request,
    parse,
)
from flagscale_workloads.inference.responses import TextAnswer

MAX_BODY_BYTES: Final = 4 << 20
ENDPOINTS: Final[dict[str, type[Request]]] = {
    "/v1/chat/completions": ChatRequest,
    "/v1/completions": CompletionRequest,
    "/v1/embeddings": EmbeddingRequest,
    "/v1/images/generations": ImageRequest,
}

log = logging.getLogger(__name__)


class EngineApp:
    """Endpoints of one engine; `draining` refuses new requests and lets the others end."""

    def __init__(self, engine: InferenceEngine) -> None:
        self.engine = engine
        self.draining = False
        self.open = OpenRequests()

    def application(self) -> Starlette:
        """The ASGI application."""
        routes = [
            Route("/health", self.health),
            Route("/metrics", self.metrics),
            Route("/v1/models", self.models),
            *(Route(path, self._endpoint(kind), methods=["POST"])
              for path, kind in ENDPOINTS.items()),
        ]  # fmt: skip
        handlers: dict[Any, Any] = {
            RequestError: _refused,
            HTTPException: _http_error,
            Exception: _failed,
        }
        return Starlette(routes=routes, exception_handlers=handlers)

    async def health(self, _: HttpRequest) -> Response:
        """200 once a real forward pass was made, until the end is near."""
        state = "stopping" if self.draining else "ok" if self.engine.ready else "loading"
        return JSONResponse({"status": state}, status_code=200 if state == "ok" else 503)

    async def metrics(self, _: HttpRequest) -> Response:
        """Prometheus' text format."""
        text = generate_latest(self.engine.meters.registry)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    async def models(self, _: HttpRequest) -> Response:
        """The one model."""
        name, created = self.engine.settings.served_name, self.engine.created
        length = self.engine.context_length
        return JSONResponse(responses.models(name, created=created, context_length=length))

    def _endpoint(self, kind: type[Request]) -> Callable[[HttpRequest], Any]:
        async def answer(http: HttpRequest) -> Response:
            with self.open:
                try:
                    return await self._answer(http, kind)
                except ClientGone:
                    return Response(status_code=499)

        return answer

    async def _answer(self, http: HttpRequest, kind: type[Request]) -> Response:
        if self.draining or not self.engine.ready:
            raise not_ready("stopping" if self.draining else "the model is being loaded")
        request = parse(kind, await _body(http))
        # Long prompts take long to encode.
        given = await asyncio.to_thread(self.engine.process_input, request)
        events = Events(lambda emit: self.engine.submit(given, emit))
        try:
            if isinstance(request, GenerationRequest) and request.stream:
                first = await unless_gone(events.next(), _gone(http))
                answer = self.engine.text_answer(request, given)
                return _StreamedAnswer(_stream(answer, first, events), events, self.open)
            everything = await unless_gone(_all(events), _gone(http))
        except BaseException:
            events.cancel()
            raise
        return JSONResponse(self.engine.process_output(request, given, everything))


class _StreamedAnswer(StreamingResponse):
    """Server-sent events; however it ends, even unread, the job is cancelled."""

    def __init__(self, stream: AsyncIterator[bytes], events: Events, count: OpenRequests) -> None:
        super().__init__(stream, media_type="text/event-stream")
        self._events = events
        self._count = count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._count:
            try:
                await super().__call__(scope, receive, send)
            finally:
                self._events.cancel()


async def _stream(answer: TextAnswer, first: Event, events: Events) -> AsyncIterator[bytes]:
    """The events' text; a failure after the first one is told as an event of its own."""
    try:
        for chunk in answer.start():
            yield _sse(chunk)
        async for piece in _with(first, events):
            if isinstance(piece, TextPiece):
                for chunk in answer.chunks(piece):
                    yield _sse(chunk)
        yield b"data: [DONE]\n\n"
    except RequestError as error:
        yield _sse(error.as_json())


async def _with(first: Event, events: Events) -> AsyncIterator[Event]:
    yield first
    if not is_last(first):
        async for event in events.rest():
            yield event


async def _all(events: Events) -> list[Event]:
    return [event async for event in events.rest()]


async def _gone(http: HttpRequest) -> None:
    while (await http.receive())["type"] != "http.disconnect":
        pass


async def _body(http: HttpRequest) -> bytes:
    body = b""
    async for part in http.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            msg = f"body: at most {MAX_BODY_BYTES} bytes, got more; send less"
            raise RequestError(msg, status=413, code="request_too_large")
    return body


def _sse(data: dict[str, Any]) -> bytes:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f"data: {text}\n\n".encode()


async def _refused(_: HttpRequest, error: RequestError) -> Response:
    return JSONResponse(error.as_json(), status_code=error.status, headers=dict(error.headers))


async def _http_error(http: HttpRequest, error: HTTPException) -> Response:
    msg = f"{http.method} {http.url.path}: {error.detail}; see OpenAI's API"
    refused = RequestError(msg, status=error.status_code, code="unknown_endpoint")
    return JSONResponse(refused.as_json(), status_code=refused.status, headers=error.headers)


async def _failed(_: HttpRequest, error: Exception) -> Response:
    log.error("a request failed", exc_info=error)
    return JSONResponse(internal().as_json(), status_code=500)
