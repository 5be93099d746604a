"""Each engine behind the gateway: what it claims is answered, what it lacks is refused."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import openai
import pytest
from openai import AsyncOpenAI

from flagscale_workloads.backends.adapter import METRIC_KINDS
from flagscale_workloads.serve.calls import ENDPOINTS
from flagscale_workloads.serve.engine_metrics import NEUTRAL
from support.gateways import CHAT, RunningGateway, running_gateway

from .conftest import EVERY, SERVED, Served, engines
from .test_abort import ABORT_TIMEOUT_S
from .test_structured import MESSAGES, ONE_CALL, SCHEMA, assert_fits

BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": MESSAGES, "max_tokens": 2},
    "/v1/completions": {"prompt": "The", "max_tokens": 2},
    "/v1/embeddings": {"input": "The"},
    "/v1/rerank": {"query": "The", "documents": ["The", "a"]},
    "/v1/responses": {"input": "The", "max_output_tokens": 16, "store": False},
    "/v1/images/generations": {"prompt": "The", "steps": 1},
}
DEMANDS: dict[str, dict[str, Any]] = {
    "tool_calls": ONE_CALL,
    "json_schema": {"response_format": {"type": "json_schema", "json_schema": {
        "name": "answer", "schema": SCHEMA, "strict": True}}},
    "logprobs": {"logprobs": True, "top_logprobs": 1},
}  # fmt: skip


def replica_port(engine: Served) -> int:
    return int(engine.process.url.rpartition(":")[2])


@asynccontextmanager
async def door(engine: Served) -> AsyncIterator[RunningGateway]:
    """A gateway with an engine of one replica."""
    async with running_gateway(
        replica_port(engine),
        model={"name": SERVED, "path": "/unused"},
        engine=engine.spec.model_dump(by_alias=True, exclude_none=True),
        health={"intervalSeconds": 1, "timeoutSeconds": 30},
    ) as gateway:
        yield gateway


@asynccontextmanager
async def client_of(gateway: RunningGateway) -> AsyncIterator[AsyncOpenAI]:
    url = f"http://127.0.0.1:{gateway.port}/v1"
    async with AsyncOpenAI(base_url=url, api_key="none", max_retries=0, timeout=300) as client:
        yield client


async def ask(gateway: RunningGateway, path: str, body: dict[str, Any]) -> tuple[int, Any]:
    url = f"http://127.0.0.1:{gateway.port}{path}"
    async with aiohttp.ClientSession() as session, session.post(url, json=body) as answer:
        return answer.status, await answer.json()


@engines(*EVERY)
async def test_every_endpoint_is_answered_where_claimed_and_else_404(engine: Served) -> None:
    async with door(engine) as gateway:
        for path, (feature, _) in ENDPOINTS.items():
            status, answer = await ask(gateway, path, BODIES[path])
            assert status == (200 if engine.claims(feature) else 404), (path, answer)
            if status == 404:
                assert answer["error"]["code"] == "not_served"
        assert gateway.loads() == [0]


async def test_every_demand_is_honoured_where_claimed_and_else_refused_by_name(
    engine: Served,
) -> None:
    async with door(engine) as gateway:
        for feature, fields in DEMANDS.items():
            body = {"messages": MESSAGES, "max_tokens": 120, "temperature": 0, **fields}
            status, answer = await ask(gateway, CHAT, body)
            if engine.claims(feature):  # type: ignore[arg-type]
                assert status == 200, (feature, answer)
            else:
                assert (status, answer["error"]["param"]) == (400, next(iter(fields)))


async def test_openais_client_chats_and_streams_through_the_gateway(engine: Served) -> None:
    given: Any = {"model": SERVED, "messages": MESSAGES, "max_tokens": 16, "temperature": 0}
    async with door(engine) as gateway, client_of(gateway) as client:
        whole = await client.chat.completions.create(**given)
        stream = await client.chat.completions.create(**given, stream=True)
        parts = [c.choices[0].delta.content or "" async for c in stream if c.choices]
        with pytest.raises(openai.BadRequestError):
            await client.completions.create(model=SERVED, prompt="import " * 3000, max_tokens=4)
    assert "".join(parts) == whole.choices[0].message.content
    assert len(parts) > 5


async def test_openais_client_gets_calls_and_json_through_the_gateway(engine: Served) -> None:
    given: Any = {"model": SERVED, "messages": MESSAGES, "max_tokens": 120, "temperature": 0}
    async with door(engine) as gateway, client_of(gateway) as client:
        create = client.chat.completions.create
        if engine.claims("tool_calls"):
            (call,) = (await create(**given, **DEMANDS["tool_calls"])).choices[0].message.tool_calls
            assert_fits(call.function.arguments)
        else:
            with pytest.raises(openai.BadRequestError, match="tool_calls"):
                await create(**given, **DEMANDS["tool_calls"])
        if engine.claims("json_schema"):
            assert_fits(
                (await create(**given, **DEMANDS["json_schema"])).choices[0].message.content
            )
        else:
            with pytest.raises(openai.BadRequestError, match="json_schema"):
                await create(**given, **DEMANDS["json_schema"])


async def test_a_websocket_chats_and_its_cancel_frees_the_engine(engine: Served) -> None:
    whole = {"messages": MESSAGES, "max_tokens": 8, "temperature": 0}
    long = {"messages": MESSAGES, "max_tokens": 1800, "temperature": 0, "stream": True}
    async with door(engine) as gateway, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{gateway.port}{CHAT}"
        async with session.ws_connect(url, timeout=aiohttp.ClientWSTimeout(ws_receive=120)) as ws:
            await ws.send_json({"type": "request", "id": "whole", "body": whole})
            answer = await ws.receive_json()
            assert (answer["type"], answer["id"]) == ("response", "whole")
            assert answer["data"]["choices"][0]["message"]["content"]

            await ws.send_json({"type": "request", "id": "long", "body": long})
            assert (await ws.receive_json())["type"] == "event"
            await ws.send_json({"type": "cancel", "id": "long"})
            while (frame := await ws.receive_json())["type"] == "event":
                pass
            assert frame == {"type": "cancelled", "id": "long"}

            seconds = await until_idle(engine)
            print(f"\n{engine.spec.name}: free {seconds:.1f} s after the cancel")
            await ws.send_json({"type": "request", "id": "again", "body": whole})
            assert (await ws.receive_json())["type"] == "response"
        assert gateway.loads() == [0]


async def until_idle(engine: Served) -> float:
    """Seconds until nothing runs; an engine that measures nothing has to show room instead."""
    begun = time.monotonic()
    async with asyncio.timeout(ABORT_TIMEOUT_S):
        if engine.adapter.metrics_path is None:
            path, body = engine.smallest
            await asyncio.to_thread(engine.process.post, path, json.loads(body))
        else:
            while await asyncio.to_thread(engine.metric, "running"):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
    return time.monotonic() - begun


@engines(*EVERY)
async def test_the_gateway_shows_the_engines_measures_under_neutral_names(engine: Served) -> None:
    async with door(engine) as gateway, aiohttp.ClientSession() as session:
        wanted = {kind for kind in METRIC_KINDS if kind in engine.adapter.metric_aliases}

        async def shown() -> set[str]:
            url = f"http://127.0.0.1:{gateway.port}/metrics"
            async with session.get(url) as answer:
                lines = (await answer.text()).splitlines()
            return {kind for kind in METRIC_KINDS
                    if any(line.startswith(NEUTRAL[kind] + "{") for line in lines)}  # fmt: skip

        async with asyncio.timeout(30):
            while await shown() != wanted:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        gateway.service.replicas.remove("r0")
        assert await shown() == set()


@engines("transformers")
async def test_openais_client_embeds_through_the_gateway(engine: Served) -> None:
    texts = ["import a module", "import a module", "raise an exception"]
    async with door(engine) as gateway, client_of(gateway) as client:
        answer = await client.embeddings.create(model=SERVED, input=texts)
    first, same, other = (one.embedding for one in answer.data)
    assert len(first) == 256
    assert sum(x * x for x in first) == pytest.approx(1, abs=1e-4)
    # How far apart two texts are depends on the model; that they are apart does not.
    assert same == pytest.approx(first, abs=1e-4)
    assert other != pytest.approx(first, abs=1e-3)
    assert answer.usage.prompt_tokens > 5


@engines("diffusers")
async def test_openais_client_draws_through_the_gateway(engine: Served) -> None:
    async with door(engine) as gateway, client_of(gateway) as client:
        answer = await client.images.generate(
            model=SERVED, prompt="a fox", response_format="b64_json", extra_body={"steps": 1}
        )
    assert base64.b64decode((answer.data or [])[0].b64_json or "").startswith(b"\x89PNG")
