"""Clients that are slow, many, wrong or too generous do not hurt the others."""

import asyncio
import os
import sys
from pathlib import Path

import aiohttp

from support.gateways import CHAT, HELLO, RunningGateway, serving_simulators
from support.raw_http import RawClient

SOCKETS = 1000
# The gateway's own checks and those of HTTP. What a schema leaves open, engines may refuse, and
# what it forbids, engines may take: the document is open on purpose.
LEFT_OUT = "negative_data_rejection,positive_data_acceptance"


async def answers(gateway: RunningGateway) -> bool:
    client = await gateway.connect()
    client.post(CHAT, HELLO | {"max_tokens": 2})
    status = (await client.answer()).status
    await client.close()
    return status == 200


async def test_a_thousand_idle_websockets_leave_the_door_open() -> None:
    many = aiohttp.TCPConnector(limit=0)
    async with (
        serving_simulators(1) as gateway,
        aiohttp.ClientSession(connector=many) as session,
    ):
        url = f"http://127.0.0.1:{gateway.port}{CHAT}"
        sockets = [await session.ws_connect(url) for _ in range(SOCKETS)]

        assert await answers(gateway)
        await sockets[-1].send_json({"type": "request", "id": "a", "body": HELLO})
        frame = await sockets[-1].receive_json()

        assert frame["type"] == "response"
        async with asyncio.TaskGroup() as group:
            for socket in sockets:
                group.create_task(socket.close())


async def test_slow_and_broken_requests_do_not_hold_up_others() -> None:
    async with serving_simulators(1) as gateway:
        slow = [await gateway.connect() for _ in range(100)]
        for number, client in enumerate(slow):
            client.send((b"POST " + CHAT.encode() + b" HTTP/1.1\r\nhost: a\r\n")[: number + 1])

        assert await answers(gateway)
        for client in slow:
            await client.close()


async def test_a_body_over_the_limit_is_refused_before_it_is_read() -> None:
    async with serving_simulators(1, gateway={"maxBodyBytes": 2048}) as gateway:
        client = await RawClient.connect(gateway.port)
        client.send(
            f"POST {CHAT} HTTP/1.1\r\nhost: a\r\ncontent-length: 999999999\r\n\r\n".encode()
        )

        assert (await client.answer()).status == 413
        assert await answers(gateway)
        await client.close()


async def test_generated_requests_meet_no_server_error_and_no_broken_promise(
    tmp_path: Path,
) -> None:
    engine = {"name": "simulator", "contextLength": 4096, "extraArgs": {"speed": 1000}}
    examples = os.environ.get("FUZZ_EXAMPLES", "40")
    async with serving_simulators(1, engine=engine) as gateway:
        process = await asyncio.create_subprocess_exec(
            *(str(Path(sys.executable).parent / "schemathesis"), "run"),
            f"http://127.0.0.1:{gateway.port}/openapi.json",
            *("--max-examples", examples, "--phases", "coverage,fuzzing", "--seed", "1"),
            *("--exclude-checks", LEFT_OUT, "--no-color"),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        told = (await process.communicate())[0].decode()

        assert process.returncode == 0, told[-3000:]
        assert "generated" in told
        print(told[-400:])
        assert await answers(gateway)
        assert gateway.loads() == [0]
