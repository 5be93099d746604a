"""The HTTP of the simulator: thin, as all that is decided is decided elsewhere."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from flagscale_workloads.inference.simulator.answers import Answer, Author
from flagscale_workloads.inference.simulator.api_error import ApiError
from flagscale_workloads.inference.simulator.blocks import chained_hashes
from flagscale_workloads.inference.simulator.chat import ChatForm, chat_prompt
from flagscale_workloads.inference.simulator.completions import CompletionForm, text_prompt
from flagscale_workloads.inference.simulator.control import Control
from flagscale_workloads.inference.simulator.delivery import (
    EventStream,
    frames,
    json_response,
    unless_gone,
    usage_of,
)
from flagscale_workloads.inference.simulator.engine import Engine, Ticket
from flagscale_workloads.inference.simulator.faults import FaultScript
from flagscale_workloads.inference.simulator.forms import Form, Head
from flagscale_workloads.inference.simulator.gate import Endpoint, Gate
from flagscale_workloads.inference.simulator.phase import Life
from flagscale_workloads.inference.simulator.requests import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    RerankRequest,
    Sampling,
    parse,
)
from flagscale_workloads.inference.simulator.scheduler import Sequence
from flagscale_workloads.inference.simulator.vectors import embedding_body, rerank_body


@dataclass(frozen=True, slots=True)
class Parts:
    """What the endpoints are built of."""

    author: Author
    engine: Engine
    script: FaultScript
    life: Life
    request_tokens: int
    """Tokens of prompt and answer together."""
    die: Callable[[int], object]
    """Ends the process with an exit code, at once."""


def build_app(parts: Parts) -> Starlette:
    """The application."""
    model, inference = parts.author.model, Inference(parts)
    control = Control(
        parts.engine, parts.script, parts.life, model=model, request_tokens=parts.request_tokens
    )
    gate = Gate(parts.script, parts.life, die=parts.die)
    posts: dict[str, Endpoint] = {
        "/v1/chat/completions": gate.inference(inference.chat),
        "/v1/completions": gate.inference(inference.completion),
        "/v1/embeddings": gate.inference(inference.embeddings),
        "/v1/rerank": gate.inference(inference.rerank),
        "/simulator/faults": control.set_faults,
    }
    gets: dict[str, Endpoint] = {
        "/health": gate.telling(control.health),
        "/v1/models": gate.telling(control.models),
        "/metrics": gate.telling(control.metrics),
        "/simulator/state": control.state,
    }
    return Starlette(
        routes=[
            *(Route(path, endpoint, methods=["POST"]) for path, endpoint in posts.items()),
            *(Route(path, endpoint, methods=["GET"]) for path, endpoint in gets.items()),
        ],
        exception_handlers={ApiError: _refuse, 404: _no_such_path, 405: _no_such_path},
    )


class Inference:
    """The endpoints that compute."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._numbers = count()

    async def chat(self, request: Request) -> Response:
        """POST /v1/chat/completions."""
        call = parse(ChatRequest, await request.body())
        prompt = chat_prompt(call)
        asked = call.max_completion_tokens or call.max_tokens
        room = self._room(call.model, prompt, asked, "messages")
        answer = self._parts.author.chat(call, prompt, room=room)
        form = ChatForm(self._head("chatcmpl"), answer, call)
        return await self._generate(request, call, prompt, form)

    async def completion(self, request: Request) -> Response:
        """POST /v1/completions."""
        call = parse(CompletionRequest, await request.body())
        prompt = text_prompt(call.text)
        room = self._room(call.model, prompt, call.max_tokens, "prompt")
        answer = self._parts.author.completion(call, prompt, room=room)
        form = CompletionForm(self._head("cmpl"), answer, call)
        return await self._generate(request, call, prompt, form)

    async def embeddings(self, request: Request) -> Response:
        """POST /v1/embeddings."""
        call = parse(EmbeddingRequest, await request.body())
        prompts = [text_prompt(text) for text in call.texts]
        await self._read(request, call.model, prompts, "input")
        return json_response(embedding_body(call, prompts))

    async def rerank(self, request: Request) -> Response:
        """POST /v1/rerank."""
        call = parse(RerankRequest, await request.body())
        query, documents = text_prompt(call.query), [text_prompt(text) for text in call.texts]
        pairs = [query + document for document in documents]
        await self._read(request, call.model, pairs, "documents")
        return json_response({"id": self._head("rerank").id, **rerank_body(call, query, documents)})

    async def _generate(
        self, request: Request, call: Sampling, prompt: list[str], form: Form
    ) -> Response:
        engine = self._parts.engine
        ticket = engine.submit(_sequence(prompt, form.answer))
        if call.stream:
            events = frames(form, ticket, include_usage=call.include_usage)
            return EventStream(events, lambda: engine.abort(ticket))
        try:
            await unless_gone(request.receive, ticket.done())
        finally:
            engine.abort(ticket)
        return json_response(form.whole(usage_of(ticket)))

    async def _read(
        self, request: Request, model: str, prompts: list[list[str]], param: str
    ) -> None:
        """Let the time of prompts without an answer pass."""
        for prompt in prompts:
            self._room(model, prompt, 0, param)
        tickets = [self._parts.engine.submit(Sequence(len(prompt), 0)) for prompt in prompts]
        try:
            await unless_gone(request.receive, _all_done(tickets))
        finally:
            for ticket in tickets:
                self._parts.engine.abort(ticket)

    def _room(self, model: str, prompt: list[str], asked: int | None, param: str) -> int:
        """Tokens that the answer may have; ApiError for an unknown model or too long a request."""
        served, limit = self._parts.author.model, self._parts.request_tokens
        if model != served:
            text = f"model: is not served here, got {model}; use {served}"
            raise ApiError(404, text, param="model", code="model_not_found")
        room = limit - len(prompt)
        if (1 if asked is None else asked) > room:
            text = (
                f"{param}: longer than the context, got {len(prompt)} tokens and {asked or 1} for "
                f"the answer; use at most {limit} together"
            )
            raise ApiError(400, text, param=param, code="context_length_exceeded")
        return room

    def _head(self, prefix: str) -> Head:
        return Head(f"{prefix}-{next(self._numbers)}", self._parts.author.model, int(time.time()))


async def _all_done(tickets: Iterable[Ticket]) -> None:
    for ticket in tickets:
        await ticket.done()


def _sequence(prompt: list[str], answer: Answer) -> Sequence:
    tokens = [*prompt, *answer.pieces]
    return Sequence(len(prompt), len(answer.pieces), chained_hashes(tokens))


async def _refuse(request: Request, error: Exception) -> Response:
    del request
    if not isinstance(error, ApiError):
        raise error
    headers = {"retry-after": "1"} if error.status == 503 else None
    return JSONResponse(error.body(), error.status, headers)


async def _no_such_path(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    text = f"path: nothing is served here, got {request.method} {request.url.path}"
    return JSONResponse(ApiError(status, text).body(), status)
