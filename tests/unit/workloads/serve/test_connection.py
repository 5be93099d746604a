import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from flagscale_workloads.serve.http.connection import ServerConnection
from flagscale_workloads.serve.http.exchange import Exchange
from flagscale_workloads.serve.http.listener import Listener
from flagscale_workloads.serve.http.messages import JSON
from support.raw_http import RawClient


async def echo(exchange: Exchange) -> None:
    exchange.send(200, JSON, exchange.request.body or exchange.request.path.encode())


@asynccontextmanager
async def listening(
    handle: Callable[[Exchange], Awaitable[None]] = echo, **settings: Any
) -> AsyncIterator[tuple[Listener, int]]:
    loop = asyncio.get_running_loop()
    limits = {"max_body_bytes": 1000, "max_connections": 10} | settings
    listener = Listener(handle=handle, now=loop.time, **limits)
    server = await loop.create_server(lambda: ServerConnection(listener, loop), "127.0.0.1", 0)
    try:
        yield listener, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for connection in list(listener.connections):
            connection.transport.abort()
        await asyncio.sleep(0)


async def test_pipelined_requests_are_answered_in_order_on_one_connection() -> None:
    async with listening() as (_, port):
        client = await RawClient.connect(port)
        for number in range(20):
            client.get(f"/{number}")

        answers = [(await client.answer()).body for _ in range(20)]

        assert answers == [f"/{number}".encode() for number in range(20)]
        await client.close()


async def test_a_chunked_body_is_put_together() -> None:
    async with listening() as (_, port):
        client = await RawClient.connect(port)
        client.send(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
        client.send(b"3\r\nabc\r\n")
        client.send(b"2\r\nde\r\n0\r\n\r\n")

        assert (await client.answer()).body == b"abcde"
        await client.close()


async def test_an_http_1_0_client_gets_a_stream_that_ends_with_its_connection() -> None:
    async def stream(exchange: Exchange) -> None:
        exchange.start(200, JSON)
        exchange.write(b"one ")
        exchange.finish(b"two")

    async with listening(stream) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()

    assert (b"chunked" in head, b"connection: close" in head) == (False, True)
    assert body == b"one two"


async def refused(head: bytes, **settings: Any) -> tuple[int, str]:
    async with listening(**settings) as (_, port):
        client = await RawClient.connect(port)
        client.send(head)
        answer = await client.answer()
        assert await client.closed()
        await client.close()
        return answer.status, answer.json()["error"]["code"]


async def test_what_is_too_large_or_not_for_us_is_refused_and_the_connection_closed() -> None:
    long = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1001\r\n\r\n"
    chunks = (
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3e9\r\n" + b"x" * 1001
    )
    header = b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 70000

    assert await refused(long) == (413, "body_too_large")
    assert await refused(chunks) == (413, "body_too_large")
    assert await refused(header + b"\r\n\r\n") == (431, "headers_too_large")
    assert await refused(b"nonsense\r\n\r\n") == (400, "bad_request")
    proxied = b"CONNECT /health HTTP/1.1\r\nhost: a\r\n\r\n"
    assert await refused(proxied) == (405, "method_not_allowed")


async def test_two_lengths_are_refused() -> None:
    smuggled = (
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n"
        b"0\r\n\r\nGET /x HTTP/1.1\r\n\r\n"
    )

    assert (await refused(smuggled))[0] == 400


async def test_a_connection_over_the_limit_is_told_so() -> None:
    async with listening(max_connections=1) as (_, port):
        first = await RawClient.connect(port)
        first.get("/")
        await first.answer()
        second = await RawClient.connect(port)

        answer = await second.answer()

        assert answer.status == 503
        assert answer.json()["error"]["code"] == "too_many_connections"
        assert answer.headers["retry-after"] == "1"
        await first.close()
        await second.close()


async def test_a_slow_request_times_out_and_an_idle_connection_is_closed() -> None:
    async with listening(head_timeout_s=-1, idle_timeout_s=-1) as (listener, port):
        slow = await RawClient.connect(port)
        slow.send(b"POST / HTTP/1.1\r\nhost")
        idle = await RawClient.connect(port)
        idle.get("/")
        await idle.answer()

        listener.expire()

        assert (await slow.answer()).status == 408
        assert await idle.closed()
        await slow.close()
        await idle.close()


async def test_a_client_that_goes_away_cancels_its_request() -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def hang(_: Exchange) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with listening(hang) as (_, port):
        client = await RawClient.connect(port)
        client.get("/")
        await started.wait()

        await client.close()

        async with asyncio.timeout(5):
            await cancelled.wait()


async def test_a_slow_reader_holds_the_writer_back() -> None:
    written = 0

    async def flood(exchange: Exchange) -> None:
        nonlocal written
        exchange.start(200, JSON)
        for _ in range(2000):
            exchange.write(b"x" * 65536)
            written += 1
            await exchange.drained()
        exchange.finish()

    async with listening(flood) as (_, port):
        client = await RawClient.connect(port)
        client.get("/")
        await client.head()
        for _ in range(50):
            await asyncio.sleep(0)

        assert written < 1000
        total = 0
        while part := await client.chunk():
            total += len(part)
        assert total == 2000 * 65536
        await client.close()


async def test_a_reader_is_given_time_as_long_as_it_takes_something() -> None:
    async def flood(exchange: Exchange) -> None:
        exchange.start(200, JSON)
        while True:
            exchange.write(b"x" * (1 << 23))
            await exchange.drained()

    async with listening(flood) as (listener, port):
        client = await RawClient.connect(port)
        client.get("/")
        await client.head()
        (connection,) = listener.connections
        while connection.deadline == float("inf"):  # noqa: ASYNC110 - until it holds back
            await asyncio.sleep(0.01)
        held = connection.transport.get_write_buffer_size()
        connection.deadline = 0
        while connection.transport.get_write_buffer_size() == held:
            await client.reader.read(65536)

        listener.expire()
        assert not connection.transport.is_closing()

        connection.deadline = 0
        listener.expire()
        assert connection.transport.is_closing()
        await client.close()


async def test_closing_ends_idle_connections_and_lets_a_running_answer_end() -> None:
    release = asyncio.Event()

    async def wait(exchange: Exchange) -> None:
        if exchange.request.path == "/slow":
            await release.wait()
        exchange.send(200, JSON, b"{}")

    async with listening(wait) as (listener, port):
        idle, slow = await RawClient.connect(port), await RawClient.connect(port)
        idle.get("/")
        await idle.answer()
        slow.get("/slow")
        while len(listener.connections) < 2:  # noqa: ASYNC110 - the server has accepted both
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)

        listener.close_idle()
        assert await idle.closed()
        release.set()

        assert (await slow.answer()).status == 200
        assert await slow.closed()
        await idle.close()
        await slow.close()


async def test_a_target_that_is_no_path_is_refused() -> None:
    for line in (b"GET http://x:99999/ HTTP/1.1", b"CONNECT a:80 HTTP/1.1"):
        assert await refused(line + b"\r\nhost: a\r\n\r\n") == (400, "bad_request")


OFFER = (
    b"POST /%d HTTP/1.1\r\nhost: a\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\n"
    b"content-length: 4\r\n\r\nbody"
)


async def test_a_request_that_offers_http_2_is_answered_over_http_1_1() -> None:
    async with listening() as (_, port):
        client = await RawClient.connect(port)
        client.send(OFFER % 1)
        first = await client.answer()
        client.send(OFFER % 2 + OFFER % 3)
        others = [await client.answer() for _ in range(2)]

        assert [answer.body for answer in (first, *others)] == [b"body"] * 3
        await client.close()


async def test_a_body_that_trickles_in_is_refused_when_its_time_is_over() -> None:
    async with listening(request_timeout_s=-1) as (listener, port):
        client = await RawClient.connect(port)
        client.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n")
        client.send(b"x")
        while not listener.connections:  # noqa: ASYNC110 - it is accepted
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)

        listener.expire()

        assert (await client.answer()).status == 408
        await client.close()


async def test_going_on_is_not_said_within_an_answer() -> None:
    started, release = asyncio.Event(), asyncio.Event()

    async def stream(exchange: Exchange) -> None:
        exchange.start(200, JSON)
        started.set()
        await release.wait()
        exchange.finish(b"end")

    async with listening(stream) as (_, port):
        client = await RawClient.connect(port)
        client.get("/")
        await started.wait()
        client.send(b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\n")
        client.send(b"content-length: 1\r\n\r\n")
        await asyncio.sleep(0.05)
        release.set()

        assert (await client.answer()).body == b"end"
        await client.close()
