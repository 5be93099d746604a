"""Whoever has a key is known, charged and counted."""

import asyncio
import json
from pathlib import Path

import pytest

from support.gateways import CHAT, HELLO, ask, running_gateway
from support.scripted_engine import scripted_engine


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "keys.json"
    path.write_text(
        json.dumps({"keys": [{"name": "ann", "key": "secret-of-ann", "tokensPerMinute": 8}]})
    )
    return {"keysFile": str(path)}


async def test_keys_are_asked_for_and_charged_with_what_was_used(keys: dict[str, str]) -> None:
    ann = {"authorization": "Bearer secret-of-ann"}
    async with scripted_engine() as engine, running_gateway(engine.port, auth=keys) as gateway:
        nobody = await ask(gateway)
        first = await ask(gateway, **ann)
        second = await ask(gateway, **ann)
        third = await ask(gateway, **ann)
        used = await gateway.metric('flagscale_key_tokens_total{key="ann",model="sim"')

    assert nobody.status == 401
    assert first.headers["x-ratelimit-limit-tokens"] == "8"
    assert (first.status, second.status, third.status) == (200, 200, 429)
    assert int(third.headers["retry-after"]) >= 1
    assert used == 10


async def test_a_stream_that_its_client_leaves_is_charged(keys: dict[str, str]) -> None:
    async with (
        scripted_engine("endless") as engine,
        running_gateway(engine.port, auth=keys) as gateway,
    ):
        client = await gateway.connect()
        client.post(CHAT, HELLO | {"stream": True}, authorization="Bearer secret-of-ann")
        await client.head()
        await client.chunk()
        await client.close()
        async with asyncio.timeout(5):
            await engine.gone.wait()
        after = await ask(gateway, authorization="Bearer secret-of-ann")

    # The prompt, as long as it is, is over the limit of 8.
    assert after.status == 429


async def test_every_series_has_model_and_revision(keys: dict[str, str]) -> None:
    model = {"name": "sim", "revision": "r7", "path": "/tmp"}
    async with (
        scripted_engine("stream", "500") as engine,
        running_gateway(engine.port, auth=keys, model=model) as gateway,
    ):
        for _ in range(2):
            await ask(gateway, authorization="Bearer secret-of-ann")
        client = await gateway.connect()
        client.get("/metrics")
        lines = (await client.answer()).body.decode().splitlines()
        await client.close()

    series = [line for line in lines if line.startswith("flagscale_")]
    assert len({line.partition("{")[0] for line in series}) > 12
    assert [line for line in series if 'model="sim",' not in line] == []
    assert [line for line in series if 'revision="r7"' not in line] == []
