import asyncio
import json
from typing import Any

import pytest

from support.gateways import CHAT, HELLO, ask, running_gateway
from support.scripted_engine import EVENT, scripted_engine


async def test_an_answer_passes_and_only_tracing_headers_reach_the_engine() -> None:
    async with scripted_engine() as engine, running_gateway(engine.port) as gateway:
        answer = await ask(
            gateway, traceparent="00-abc-def-01", authorization="Bearer secret", cookie="crumb"
        )

    assert (answer.status, answer.json()["port"]) == (200, engine.port)
    (request,) = engine.requests
    assert b"traceparent: 00-abc-def-01" in request
    assert b"secret" not in request
    assert b"crumb" not in request
    assert json.loads(request.split(b"\r\n\r\n", 1)[1])["model"] == "sim"


@pytest.mark.parametrize("trouble", ["500", "drop", "halves"])
async def test_a_failure_before_the_first_byte_is_answered_by_another_replica(
    trouble: str,
) -> None:
    async with (
        scripted_engine(*[trouble] * 9) as bad,
        scripted_engine() as good,
        running_gateway(bad.port, good.port) as gateway,
    ):
        ports = {(await ask(gateway)).json()["port"] for _ in range(4)}

        assert ports == {good.port}
        assert gateway.loads() == [0, 0]


async def test_when_all_fail_the_engines_own_error_is_told() -> None:
    async with scripted_engine(*["500"] * 9) as bad, running_gateway(bad.port) as gateway:
        answer = await ask(gateway)

    assert answer.status == 500
    assert answer.json()["error"]["message"] == "broken"
    assert len(bad.requests) == 3


async def test_an_engine_that_fails_in_its_own_words_is_told_in_openais() -> None:
    async with scripted_engine(*["trace"] * 9) as bad, running_gateway(bad.port) as gateway:
        answer = await ask(gateway)

    assert (answer.status, answer.headers["content-type"]) == (503, "application/json")
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["error"] == {
        "message": "engine: answered with status 503 only; see its log",
        "type": "server_error",
        "param": None,
        "code": None,
    }


async def test_a_replica_that_fails_in_a_row_is_left_alone_for_a_while() -> None:
    async with (
        scripted_engine(*["500"] * 50) as bad,
        scripted_engine() as good,
        running_gateway(bad.port, good.port) as gateway,
    ):
        for _ in range(20):
            assert (await ask(gateway)).status == 200

    assert len(bad.requests) == 3


async def test_a_dead_replica_costs_no_request() -> None:
    async with scripted_engine() as gone:
        dead = gone.port
    async with scripted_engine() as good, running_gateway(dead, good.port) as gateway:
        answers = [await ask(gateway) for _ in range(6)]

    assert {answer.status for answer in answers} == {200}


async def test_a_kept_connection_that_the_engine_closed_is_no_failure() -> None:
    async with scripted_engine("ok", "drop") as engine, running_gateway(engine.port) as gateway:
        await ask(gateway)

        assert (await ask(gateway)).status == 200
        assert await gateway.metric("flagscale_errors_total") == 0


async def test_a_stream_passes_unchanged() -> None:
    async with scripted_engine("stream") as engine, running_gateway(engine.port) as gateway:
        answer = await ask(gateway, HELLO | {"stream": True})

    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.body == EVENT * 3 + b"data: [DONE]\n\n"


async def test_a_stream_that_breaks_off_ends_with_an_error_event_and_without_done() -> None:
    async with scripted_engine("cut") as engine, running_gateway(engine.port) as gateway:
        answer = await ask(gateway, HELLO | {"stream": True})
        errors = await gateway.metric('flagscale_errors_total{class="truncated"')

    last = answer.body.removeprefix(EVENT * 3).decode()
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "upstream_lost"
    assert errors == 1


@pytest.mark.parametrize("action", ["hang", "endless"])
async def test_a_client_that_leaves_ends_the_engines_work(action: str) -> None:
    async with scripted_engine(action) as engine, running_gateway(engine.port) as gateway:
        client = await gateway.connect()
        client.post(CHAT, HELLO | {"stream": action == "endless"})
        while not engine.requests:  # noqa: ASYNC110 - the engine has it
            await asyncio.sleep(0.01)

        await client.close()

        async with asyncio.timeout(1):
            await engine.gone.wait()
        assert gateway.loads() == [0]


async def test_a_silent_engine_is_given_up_and_another_answers() -> None:
    async with (
        scripted_engine("hang") as silent,
        scripted_engine() as good,
        running_gateway(
            silent.port, good.port, gateway={"firstByteTimeoutSeconds": 0.2}
        ) as gateway,
    ):
        answers = [await ask(gateway) for _ in range(2)]

    assert [a.json()["port"] for a in answers] == [good.port] * 2


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({}, 400, "messages"),
        ({"messages": []}, 400, "messages"),
        ({"messages": ["hi"]}, 400, "messages.0"),
        (HELLO | {"model": 7}, 400, "model"),
        (HELLO | {"model": "other"}, 404, "model"),
        (HELLO | {"stream": "yes"}, 400, "stream"),
        ([], 400, None),
    ],
)
async def test_what_is_not_a_request_is_refused_with_the_field(
    body: Any, status: int, param: str | None
) -> None:
    async with scripted_engine() as engine, running_gateway(engine.port) as gateway:
        answer = await ask(gateway, body)

    assert (answer.status, answer.json()["error"]["param"]) == (status, param)
    assert engine.requests == []


async def test_paths_and_methods_that_do_not_exist_are_told() -> None:
    async with running_gateway() as gateway:
        client = await gateway.connect()
        client.get("/v1/nothing")
        nothing = await client.answer()
        client.get(CHAT)
        get = await client.answer()
        client.post("/health", {})
        post = await client.answer()
        client.get("/health")
        health = await client.answer()
        await client.close()

    assert (nothing.status, get.status, post.status) == (404, 405, 405)
    assert get.headers["allow"] == "POST"
    assert (health.status, health.headers["retry-after"]) == (503, "1")


async def test_a_full_gateway_says_when_to_come_back() -> None:
    busy = {"perReplicaConcurrency": 1, "queue": {"size": 1, "timeoutSeconds": 0.2}}
    async with (
        scripted_engine("hang") as engine,
        running_gateway(engine.port, gateway=busy) as gateway,
    ):
        holder, waiter = await gateway.connect(), await gateway.connect()
        holder.post(CHAT, HELLO)
        while gateway.loads() != [1]:  # noqa: ASYNC110 - it has its place
            await asyncio.sleep(0.01)
        waiter.post(CHAT, HELLO)
        while not await gateway.metric("flagscale_queue_length"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)

        full = await ask(gateway)
        late = await waiter.answer()

        assert (full.status, late.status) == (429, 503)
        assert full.headers["retry-after"] == late.headers["retry-after"] == "1"
        await holder.close()
        await waiter.close()


@pytest.mark.parametrize(
    ("name", "fields", "param"),
    [
        ("transformers", {"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ("transformers", {"functions": [{"name": "f"}]}, "functions"),
        ("llamacpp", {"response_format": {"type": "json_schema"}}, "response_format"),
    ],
)
async def test_what_the_engine_lacks_is_refused_instead_of_left_out(
    name: str, fields: dict[str, Any], param: str
) -> None:
    plain = {"name": name}
    async with scripted_engine() as engine, running_gateway(engine.port, engine=plain) as gateway:
        refused = await ask(gateway, HELLO | fields)
        taken = await ask(gateway, HELLO | {"tools": [], "response_format": {"type": "text"}})
        unused = await ask(gateway, HELLO | fields | {"tool_choice": "none"})

    assert (refused.status, refused.json()["error"]["param"]) == (400, param)
    assert taken.status == 200
    assert (unused.status == 200) == (param == "tools")


async def test_a_removed_replica_leaves_no_series() -> None:
    async with scripted_engine() as engine, running_gateway(engine.port) as gateway:
        before = await gateway.metric('flagscale_replica_available{model="sim",replica="r0"')
        gateway.service.replicas.remove("r0")
        client = await gateway.connect()
        client.get("/metrics")
        text = (await client.answer()).body
        await client.close()

    assert before == 1
    assert b'replica="r0"' not in text
