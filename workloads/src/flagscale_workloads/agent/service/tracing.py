"""Spans of the service by OpenTelemetry: exported by OTLP over HTTP where an endpoint is set.

Names and attributes of calls are those of OpenTelemetry's semantic conventions for generative AI
(`execute_tool`). Neither requests nor arguments are in a span.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import NoOpTracerProvider, Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from flagscale_workloads.agent.service.errors import ServiceError
from flagscale_workloads.agent.tool_match.answer import Matches

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
EXPORT_S: Final = 2.0
"""A collector that hangs holds the end of the service up for no longer."""
_PROPAGATOR: Final = TraceContextTextMapPropagator()


class Tracing:
    """Spans of one service. `close` sends those that wait."""

    def __init__(self, provider: trace.TracerProvider, close: Callable[[], None]) -> None:
        self._tracer = provider.get_tracer("flagscale.tools")
        self.close = close

    @contextmanager
    def operation(self, name: str, incoming: Mapping[str, str]) -> Iterator[Span]:
        """What a caller asked for, below the span that its headers name."""
        parent = _PROPAGATOR.extract(incoming)
        with self._span(f"tools {name}", SpanKind.SERVER, {}, parent) as span:
            yield span

    @contextmanager
    def search(self) -> Iterator[Span]:
        """The matcher's part of a request."""
        with self._span("search", SpanKind.INTERNAL, {}) as span:
            yield span

    @contextmanager
    def sending(self, tool: str, kind: str) -> Iterator[Span]:
        """One attempt to call a tool: `tool` is `namespace/name`."""
        about = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": tool,
            "flagscale.tool.kind": kind,
        }
        with self._span(f"execute_tool {tool}", SpanKind.CLIENT, about) as span:
            yield span

    @contextmanager
    def _span(
        self,
        name: str,
        kind: SpanKind,
        attributes: dict[str, str],
        parent: Context | None = None,
    ) -> Iterator[Span]:
        with self._tracer.start_as_current_span(
            name,
            parent,
            kind,
            attributes,
            # Messages of errors may quote what a caller sent.
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except ServiceError as error:
                span.set_attribute("error.type", error.code)
                span.set_status(StatusCode.ERROR)
                raise
            except BaseException as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(StatusCode.ERROR)
                raise


def tracing_of(environ: Mapping[str, str]) -> Tracing:
    """Spans that OpenTelemetry's own variables send somewhere; without an endpoint, nowhere."""
    if not any(environ.get(one) for one in ENDPOINTS):
        return Tracing(NoOpTracerProvider(), lambda: None)
    named = {} if environ.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: "flagscale-matcher"}
    provider = TracerProvider(resource=Resource.create(named))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=EXPORT_S)))
    return Tracing(provider, provider.shutdown)


def onward(incoming: Mapping[str, str]) -> dict[str, str]:
    """Headers for what is called next, so that its spans are below the one that runs now."""
    headers = dict(incoming)
    _PROPAGATOR.inject(headers)
    return headers


def tell(span: Span, found: Matches) -> None:
    """What a search found, in its span."""
    span.set_attributes(
        {
            "flagscale.search.tier": found.tier,
            "flagscale.search.degraded": found.degraded,
            "flagscale.search.hits": len(found.hits),
            "flagscale.search.abstained": found.abstained,
            "flagscale.search.cached": found.cached,
            "flagscale.search.took_ms": found.took_ms,
        }
    )
