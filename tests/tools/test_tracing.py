"""Spans of the running service, as a collector gets them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from support.loopback_tools import Seen, http_tool, served
from support.span_collector import SpanCollector, attributes
from support.tool_service import ToolServiceProcess, agent_tool, tool_service

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADERS = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
CALL = "/v1/tools/team/weather:call"
QUICK = {"OTEL_BSP_SCHEDULE_DELAY": "50"}


@asynccontextmanager
async def traced(
    folder: Path, endpoint: str, tool_url: str, **tool: object
) -> AsyncIterator[ToolServiceProcess]:
    """A service with one HTTP tool that sends its spans there."""
    (folder / "empty.yaml").write_text("")
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, **QUICK}
    async with tool_service(folder, variables=variables) as service:
        http = {"url": f"{tool_url}/weather"}
        service.write("weather.yaml", agent_tool("weather", "Forecast.", http=http, **tool))

        async def there() -> bool:
            async with service.client() as client:
                return (await client.get("/v1/tools/team/weather")).status_code == 200

        await service.until(there)
        yield service


async def test_a_call_is_a_span_below_the_callers_and_above_the_tools(tmp_path: Path) -> None:
    collector, seen = SpanCollector(), Seen(failures_left=1)
    async with (
        served(collector.application()) as endpoint,
        served(http_tool(seen)) as tool_url,
        traced(tmp_path, endpoint, tool_url, idempotent=True) as service,
    ):
        async with service.client(headers=HEADERS) as client:
            answer = (await client.post(CALL, json={"arguments": {}})).json()
        assert (answer["status"], answer["attempts"]) == (200, 2)
        await service.end()
    (call,) = collector.named("tools call")
    assert (call.trace_id.hex(), call.parent_span_id.hex()) == (TRACE, PARENT)
    assert call.kind == Span.SPAN_KIND_SERVER
    attempts = collector.named("execute_tool team/weather")
    assert [one.parent_span_id for one in attempts] == [call.span_id] * 2
    assert attributes(attempts[0])["gen_ai.operation.name"] == "execute_tool"
    told = [one["headers"]["traceparent"] for one in seen.requests]
    assert told == [f"00-{TRACE}-{one.span_id.hex()}-01" for one in attempts]
    assert {one["service.name"] for one in collector.resources} == {"flagscale-matcher"}


async def test_a_search_tells_its_tier_and_nothing_of_the_request(tmp_path: Path) -> None:
    collector = SpanCollector()
    async with (
        served(collector.application()) as endpoint,
        traced(tmp_path, endpoint, "http://127.0.0.1:1") as service,
    ):
        async with service.client() as client:
            body = {"query": "zanzibar forecast", "min_confidence": 0}
            found = (await client.post("/v1/tools:match", json=body)).json()
            await client.post(CALL, json={"arguments": {"city": "timbuktu"}})
        await service.end()
    (search,) = collector.named("search")
    told = attributes(search)
    assert told["flagscale.search.tier"] == found["tier"]
    assert told["flagscale.search.hits"] == len(found["tools"]) == 1
    assert collector.named("tools match")[0].span_id == search.parent_span_id
    assert b"zanzibar" not in collector.bytes
    assert b"timbuktu" not in collector.bytes
    (call,) = collector.named("tools call")
    assert call.status.code == Status.STATUS_CODE_ERROR
    assert attributes(call)["error.type"] == "unreachable"


async def test_a_collector_that_is_away_delays_nothing(tmp_path: Path) -> None:
    seen = Seen()
    async with (
        served(http_tool(seen)) as tool_url,
        traced(tmp_path, "http://127.0.0.1:1", tool_url) as service,
    ):
        async with service.client() as client:
            assert (await client.post(CALL, json={"arguments": {}})).status_code == 200
        before = monotonic()
        assert await service.end() == 0
        assert monotonic() - before < 10
    assert not any("Traceback" in line for line in service.said)
