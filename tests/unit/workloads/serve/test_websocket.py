import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientWebSocketResponse, WSServerHandshakeError

from flagscale_workloads.serve import websocket
from support.gateways import CHAT, HELLO, RunningGateway, running_gateway
from support.scripted_engine import ScriptedEngine, scripted_engine


@asynccontextmanager
async def chatting(
    gateway: RunningGateway, **headers: str
) -> AsyncIterator[ClientWebSocketResponse]:
    url = f"http://127.0.0.1:{gateway.port}{CHAT}"
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, headers=headers, timeout=aiohttp.ClientWSTimeout(5)) as socket,
    ):
        yield socket


@asynccontextmanager
async def chat_over(
    *script: str, **config: Any
) -> AsyncIterator[tuple[ScriptedEngine, RunningGateway, ClientWebSocketResponse]]:
    async with (
        scripted_engine(*script) as engine,
        running_gateway(engine.port, **config) as gateway,
        chatting(gateway) as socket,
    ):
        yield engine, gateway, socket


async def ask(socket: ClientWebSocketResponse, id_: str, **body: Any) -> None:
    await socket.send_json({"type": "request", "id": id_, "body": HELLO | body})


async def test_a_streamed_chat_comes_as_events_and_done() -> None:
    async with chat_over("stream") as (_, _, socket):
        await ask(socket, "a", stream=True)
        frames = [await socket.receive_json() for _ in range(4)]

    assert [frame["type"] for frame in frames] == ["event"] * 3 + ["done"]
    assert {frame["id"] for frame in frames} == {"a"}
    assert frames[0]["data"]["choices"][0]["delta"]["content"] == "x"


async def test_a_whole_answer_comes_as_one_response() -> None:
    async with chat_over() as (engine, _, socket):
        await ask(socket, "a")
        frame = await socket.receive_json()

    assert (frame["type"], frame["status"], frame["data"]["port"]) == ("response", 200, engine.port)


async def test_a_stream_that_breaks_off_ends_with_an_error_frame_and_without_done() -> None:
    async with chat_over("cut") as (_, _, socket):
        await ask(socket, "a", stream=True)
        frames = [await socket.receive_json() for _ in range(4)]
        await ask(socket, "b")
        after = await socket.receive_json()

    assert [frame["type"] for frame in frames] == ["event"] * 3 + ["error"]
    assert frames[-1]["error"]["code"] == "upstream_lost"
    assert (after["type"], after["id"]) == ("response", "b")


async def test_a_cancelled_request_ends_at_the_engine_and_others_go_on() -> None:
    async with chat_over("endless", "ok") as (engine, gateway, socket):
        await ask(socket, "long", stream=True)
        assert (await socket.receive_json())["type"] == "event"
        await socket.send_json({"type": "cancel", "id": "long"})
        cancelled = await socket.receive_json()
        async with asyncio.timeout(1):
            await engine.gone.wait()
        await ask(socket, "short")
        answer = await socket.receive_json()
        loads = gateway.loads()

    assert (cancelled["type"], cancelled["id"]) == ("cancelled", "long")
    assert (answer["type"], answer["id"]) == ("response", "short")
    assert loads == [0]


async def test_a_client_that_leaves_cancels_all_its_requests() -> None:
    async with chat_over("hang") as (engine, gateway, socket):
        await ask(socket, "a")
        while not engine.requests:  # noqa: ASYNC110 - the engine has it
            await asyncio.sleep(0.01)

        await socket.close()

        async with asyncio.timeout(1):
            await engine.gone.wait()
        assert gateway.loads() == [0]


@pytest.mark.parametrize(
    ("text", "id_", "field"),
    [
        ("nonsense", None, None),
        ("[]", None, None),
        ('{"type": "request"}', None, "id"),
        ('{"type": "shout", "id": "a"}', "a", "type"),
        ('{"type": "request", "id": "a", "body": 1}', "a", "body"),
        ('{"type": "request", "id": "a", "body": {}}', "a", "messages"),
        (json.dumps({"type": "cancel", "id": "x" * 200}), None, "id"),
    ],
)
async def test_a_wrong_frame_is_told_and_the_connection_stays(
    text: str, id_: str | None, field: str | None
) -> None:
    async with chat_over() as (_, _, socket):
        await socket.send_str(text)
        frame = await socket.receive_json()
        await ask(socket, "after")
        after = await socket.receive_json()

    assert (frame["type"], frame["id"], frame["error"]["param"]) == ("error", id_, field)
    assert after["type"] == "response"


async def test_an_id_in_use_is_refused() -> None:
    async with chat_over("hang") as (_, _, socket):
        await ask(socket, "a")
        await ask(socket, "a")
        frame = await socket.receive_json()

    assert "in use" in frame["error"]["message"]


async def test_too_large_and_binary_messages_close_with_their_codes() -> None:
    async with running_gateway(gateway={"maxBodyBytes": 1024}) as gateway:
        async with chatting(gateway) as socket:
            await socket.send_str("x" * 2000)
            await socket.receive()
            too_big = socket.close_code
        async with chatting(gateway) as socket:
            await socket.send_bytes(b"x")
            await socket.receive()
            binary = socket.close_code

    assert (too_big, binary) == (1009, 1003)


async def test_keys_and_limits_hold_for_each_request_on_the_socket(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text('{"keys": [{"name": "a", "key": "secret-of-a", "requestsPerMinute": 1}]}')
    auth = {"keysFile": str(path)}
    async with (
        scripted_engine() as engine,
        running_gateway(engine.port, auth=auth) as gateway,
    ):
        with pytest.raises(WSServerHandshakeError) as refused:
            async with chatting(gateway):
                pass
        async with chatting(gateway, Authorization="Bearer secret-of-a") as socket:
            await ask(socket, "first")
            first = await socket.receive_json()
            await ask(socket, "second")
            second = await socket.receive_json()

    assert refused.value.status == 401
    assert first["type"] == "response"
    assert (second["type"], second["status"]) == ("error", 429)


async def test_draining_lets_a_running_request_end_and_asks_to_connect_again() -> None:
    short = {"firstByteTimeoutSeconds": 0.5, "retries": 0}
    async with (
        chat_over("hang", gateway=short) as (engine, gateway, busy),
        chatting(gateway) as idle,
    ):
        await ask(busy, "a")
        while not engine.requests:  # noqa: ASYNC110 - the engine has it
            await asyncio.sleep(0.01)
        stopping = asyncio.create_task(gateway.service.stop())
        await idle.receive()
        frame = await busy.receive_json()
        await busy.receive()
        await stopping

    assert (idle.close_code, busy.close_code) == (1012, 1012)
    assert frame["type"] == "error"


async def test_a_client_that_takes_nothing_holds_the_engine_back_and_is_cut_off() -> None:
    async with (
        scripted_engine("flood") as engine,
        # Long enough for several times the bound, if nobody held the engine back.
        running_gateway(engine.port, gateway={"idleTimeoutSeconds": 3}) as gateway,
        chatting(gateway) as socket,
    ):
        await ask(socket, "a", stream=True)

        # aiohttp stops reading when nobody takes its messages; the sockets' buffers hold 10 MB.
        assert await gateway.until_cut_off(engine) < 16 << 20
        assert [replica.failures for replica in gateway.service.replicas] == [0]


async def test_the_trace_of_the_handshake_reaches_the_engine_with_each_request() -> None:
    async with (
        scripted_engine() as engine,
        running_gateway(engine.port) as gateway,
        chatting(gateway, traceparent="00-abc-def-01") as socket,
    ):
        for id_ in ("a", "b"):
            await ask(socket, id_)
            await socket.receive_json()

    assert [b"traceparent: 00-abc-def-01" in request for request in engine.requests] == [True] * 2


async def test_a_key_that_is_taken_back_is_refused_on_an_open_socket(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text('{"keys": [{"name": "a", "key": "secret-of-a"}]}')
    async with (
        scripted_engine() as engine,
        running_gateway(engine.port, auth={"keysFile": str(path)}) as gateway,
        chatting(gateway, Authorization="Bearer secret-of-a") as socket,
    ):
        await ask(socket, "before")
        before = await socket.receive_json()
        path.write_text('{"keys": []}')
        async with asyncio.timeout(5):
            status = None
            while status != 401:
                await ask(socket, "after")
                status = (await socket.receive_json()).get("status")

    assert before["type"] == "response"
    assert len(engine.requests) >= 1


HANDSHAKE = (
    f"GET {CHAT} HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
    "sec-websocket-version: 13\r\nsec-websocket-key: YWJjZGVmZ2hpamtsbW5vcA==\r\n\r\n"
).encode()
# A masked text frame that holds "[]", which is refused each time.
WRONG_FRAME = b"\x81\x82\x00\x00\x00\x00[]"


async def send_on(writer: asyncio.StreamWriter) -> None:
    async with asyncio.timeout(20):
        while True:
            writer.write(WRONG_FRAME * 1000)
            await writer.drain()


async def test_a_client_that_sends_on_and_reads_nothing_is_cut_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(websocket, "UNREAD_LIMIT_BYTES", 1 << 18)
    async with running_gateway() as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, limit=1024)
        writer.write(HANDSHAKE)
        await reader.readuntil(b"\r\n\r\n")

        with pytest.raises(ConnectionError):
            await send_on(writer)

        writer.close()
