"""A collector that takes spans by OTLP over HTTP and keeps them."""

from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


class SpanCollector:
    """What came in."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.bytes = b""
        self.resources: list[dict[str, str]] = []

    def application(self) -> Starlette:
        """The ASGI application."""
        return Starlette(routes=[Route("/v1/traces", self._take, methods=["POST"])])

    async def _take(self, http: Request) -> Response:
        body = await http.body()
        self.bytes += body
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resources.append(attributes(group.resource))
            for scope in group.scope_spans:
                self.spans += scope.spans
        return Response(b"", media_type="application/x-protobuf")

    def named(self, name: str) -> list[Span]:
        """Spans of this name, in the order of their ends."""
        return [one for one in self.spans if one.name == name]


def attributes(holder: Any) -> dict[str, Any]:
    """Scalar attributes of a span or a resource."""
    return {
        one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in holder.attributes
    }
