"""The door: every path, authentication, limits, and what is said when something is wrong."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import orjson
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from flagscale_workloads.serve.api_keys import KeyRing
from flagscale_workloads.serve.calls import ENDPOINTS, CallReader
from flagscale_workloads.serve.forward import Bill, Forwarder, Sink
from flagscale_workloads.serve.http.exchange import Exchange
from flagscale_workloads.serve.http.messages import JSON, HttpError, Request, busy
from flagscale_workloads.serve.limits import Client
from flagscale_workloads.serve.metrics import GatewayMetrics
from flagscale_workloads.serve.openapi import document
from flagscale_workloads.serve.websocket import WebSocketSession, wants_websocket

_log = logging.getLogger(__name__)
CLIENT_GONE: Final = 499
WEBSOCKET_PATH: Final = "/v1/chat/completions"
TOKENS_PER_BYTE: Final = 0.25
"""Estimate of a prompt's tokens where the engine does not count them."""


@dataclass(slots=True)
class Gateway:
    """Answers requests about one served model."""

    model: str
    created: int
    reader: CallReader
    forwarder: Forwarder
    metrics: GatewayMetrics
    registry: CollectorRegistry
    now: Callable[[], float]
    endpoints: frozenset[str]
    """Paths that the engine answers."""
    keys: KeyRing | None = None
    max_message_bytes: int = 4_194_304
    draining: bool = False
    sessions: set[WebSocketSession] = field(default_factory=set)

    async def handle_request(self, exchange: Exchange) -> None:
        """One exchange, whatever it asks for; every way out is counted once."""
        started_at = self.now()
        path = exchange.request.path
        status = 0
        try:
            await self._route(exchange, started_at)
        except HttpError as error:
            exchange.send(error.status, JSON, error.body(), error.headers)
        except asyncio.CancelledError:
            status = CLIENT_GONE
            self.metrics.error("cancelled")
            raise
        except Exception:  # noqa: BLE001 - one request must not end the gateway
            _log.exception("%s %s: failed", exchange.request.method, path)
            if not exchange.started:
                exchange.send(500, JSON, _INTERNAL.body())
        finally:
            endpoint = path if path in ENDPOINTS or path in _PAGES else "other"
            self.metrics.request(endpoint, status or exchange.status, self.now() - started_at)

    async def _route(self, exchange: Exchange, started_at: float) -> None:
        request = exchange.request
        if request.path in ENDPOINTS and request.path not in self.endpoints:
            raise self._not_served(request.path)
        if request.path in ENDPOINTS and request.method == "POST":
            await self._call(exchange, request, started_at)
        elif request.path == WEBSOCKET_PATH and wants_websocket(request):
            await self._websocket(exchange)
        elif request.path in _PAGES:
            self._page(exchange)
        elif request.path in ENDPOINTS:
            raise _method(request, "POST")
        else:
            message = f"{request.path[:200]}: no such path; see /openapi.json"
            raise HttpError(404, "not_found", message)

    def _not_served(self, path: str) -> HttpError:
        served = ", ".join(sorted(self.endpoints))
        message = f"{path}: the engine of {self.model} does not have it; it has {served}"
        return HttpError(404, "not_served", message)

    def client_of(self, request: Request) -> Client | None:
        """Who asks; None where no keys are asked for. Raises HttpError 401."""
        return self.keys.client(request.headers.get(b"authorization")) if self.keys else None

    async def _call(self, exchange: Exchange, request: Request, started_at: float) -> None:
        client = self.client_of(request)
        await self.answer(request.path, request, request.body, client, exchange, started_at)

    async def answer(
        self,
        endpoint: str,
        request: Request,
        body: bytes,
        client: Client | None,
        sink: Sink,
        started_at: float,
    ) -> None:
        """Admit, forward and charge one call. Raises HttpError while nothing was sent."""
        call = self.reader.read(endpoint, request.headers, body, now=started_at)
        if client:
            client.enter()
        bill = Bill()
        try:
            await self.forwarder.forward(call, sink, bill, client.headers() if client else ())
        finally:
            # Also of a stream that its client leaves: it would be free before its last byte.
            usage = bill.usage
            if client:
                prompt = usage.prompt or int(usage.generated and len(body) * TOKENS_PER_BYTE)
                client.leave(prompt + usage.generated)
            self.metrics.tokens(usage.prompt, usage.generated, client.name if client else None)

    async def _websocket(self, exchange: Exchange) -> None:
        if self.draining:
            raise _draining()
        self.client_of(exchange.request)
        session = WebSocketSession(
            exchange, self, endpoint=WEBSOCKET_PATH, limit_bytes=self.max_message_bytes
        )
        self.sessions.add(session)
        try:
            await session.run()
        finally:
            self.sessions.discard(session)

    def _page(self, exchange: Exchange) -> None:
        request = exchange.request
        if request.method not in {"GET", "HEAD"}:
            raise _method(request, "GET")
        if request.path == "/metrics":
            exchange.send(200, CONTENT_TYPE_LATEST.encode(), generate_latest(self.registry))
        elif request.path == "/v1/models":
            self.client_of(request)
            exchange.send(200, JSON, orjson.dumps({"object": "list", "data": [self._model()]}))
        elif request.path == "/openapi.json":
            exchange.send(
                200, JSON, orjson.dumps(document(self.model, self.endpoints, keys=bool(self.keys)))
            )
        elif request.path == "/ready":
            self._open(exchange)
        else:
            self._health(exchange)

    def _open(self, exchange: Exchange) -> None:
        """Whether requests are taken; they wait where no replica is ready."""
        if self.draining:
            raise _draining()
        exchange.send(200, JSON, orjson.dumps({"status": "open"}))

    def _health(self, exchange: Exchange) -> None:
        if self.draining:
            raise _draining()
        available = len(self.forwarder.dispatcher.replicas.available(self.now()))
        if not available:
            raise busy(503, "no_replica", "no replica is ready")
        exchange.send(200, JSON, orjson.dumps({"status": "ok", "replicas": available}))

    def _model(self) -> dict[str, object]:
        return {
            "id": self.model,
            "object": "model",
            "created": self.created,
            "owned_by": "flagscale",
        }


_PAGES: Final = frozenset({"/health", "/ready", "/v1/models", "/metrics", "/openapi.json"})
_INTERNAL: Final = HttpError(
    500, "internal_error", "gateway: an error of its own; see its log, report it"
)


def _draining() -> HttpError:
    return busy(503, "draining", "it is shutting down")


def _method(request: Request, allowed: str) -> HttpError:
    return HttpError(
        405,
        "method_not_allowed",
        f"{request.path}: takes {allowed} only, got {request.method}; change the method",
        headers=((b"allow", allowed.encode()),),
    )
