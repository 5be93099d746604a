import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from flagscale_operator.progress.board import ProgressBoard
from flagscale_operator.progress.gate import ConnectionGate
from flagscale_operator.progress.protocol import PATH
from flagscale_operator.progress.server import serve_progress
from flagscale_operator.progress.tls import ensure_certificates
from flagscale_operator.progress.tokens import TokenChecker
from support.token_reviews import GOOD, Reviewer

REPORT = {"trainerStatus": {"lastUpdatedTime": "2026-01-01T00:00:00Z", "progressPercentage": 40}}


@dataclass
class Served:
    board: ProgressBoard
    session: aiohttp.ClientSession
    port: int
    labels: dict[str, str]
    codes: list[int] = field(default_factory=list)

    async def post(self, name: str = "a", token: str | None = GOOD, **body: Any) -> Any:
        path = PATH.format(namespace="ns", name=name)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        body = body or {"json": REPORT}
        url = f"https://127.0.0.1:{self.port}{path}"
        async with self.session.post(url, headers=headers, **body) as response:
            return response.status, await response.json()


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    kube, codes = Reviewer(), list[int]()
    labels = {"flagscale.dev/trainjob": "a", "flagscale.dev/attempt": "2"}
    pods = {("ns", "p"): {"metadata": {"uid": "u1", "labels": labels}}}
    now = datetime.now(UTC)
    board = ProgressBoard(on_change=lambda *_: None, clock=lambda: datetime.now(UTC))
    certificates = await ensure_certificates(kube, namespace="sys", pod_ip="127.0.0.1", now=now)
    context = ssl.create_default_context(cadata=certificates.ca_pem)
    async with (
        serve_progress(
            board=board,
            tokens=TokenChecker(kube, pods=pods),
            certificates=certificates,
            port=0,
            host="127.0.0.1",
            on_post=codes.append,
            job_exists=lambda _, name: name != "gone",
        ) as port,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
    ):
        yield Served(board, session, port, labels, codes)


async def test_a_report_reaches_the_board_with_its_attempt(served: Served) -> None:
    assert await served.post() == (200, {})

    fact = served.board.newest("ns", "a")
    assert fact is not None
    assert (fact.attempt, fact.percent) == (2, 40)
    assert served.codes == [200]


async def test_the_answer_asks_for_a_checkpoint(served: Served) -> None:
    served.board.request_checkpoint("ns", "a")

    assert await served.post() == (200, {"request": "checkpoint"})


@pytest.mark.parametrize(
    ("code", "sent"),
    [
        (401, {"token": None}),
        (401, {"token": "bad"}),
        (403, {"name": "b"}),
        (413, {"json": {"x": "x" * 70_000}}),
        (415, {"data": b"{}"}),
        (422, {"json": {"trainerStatus": {}}}),
    ],
)
async def test_what_is_wrong_gets_its_code(served: Served, code: int, sent: dict[str, Any]) -> None:
    status, answer = await served.post(**sent)

    assert (status, answer["code"], answer["kind"]) == (code, code, "Status")
    assert served.codes == [code]
    assert served.board.newest("ns", "a") is None


async def test_an_unknown_job_is_404(served: Served) -> None:
    served.labels["flagscale.dev/trainjob"] = "gone"

    assert (await served.post(name="gone"))[0] == 404


async def test_a_report_of_an_older_attempt_is_409(served: Served) -> None:
    served.labels["flagscale.dev/attempt"] = "3"
    await served.post()
    served.labels["flagscale.dev/attempt"] = "2"

    assert (await served.post())[0] == 409


async def test_a_job_that_posts_too_often_is_429(served: Served) -> None:
    codes = [(await served.post())[0] for _ in range(40)]

    assert codes[:20] == [200] * 20
    assert 429 in codes


async def test_a_silent_connection_is_closed() -> None:
    runner = web.AppRunner(web.Application())
    await runner.setup()
    server = await ConnectionGate(patience_s=0.01).listen(
        runner, host="127.0.0.1", port=0, context=None
    )
    port = server.sockets[0].getsockname()[1]
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
    finally:
        server.close()
        await runner.cleanup()


async def test_connections_beyond_the_limit_are_closed() -> None:
    runner = web.AppRunner(web.Application())
    await runner.setup()
    server = await ConnectionGate(limit=1).listen(runner, host="127.0.0.1", port=0, context=None)
    port = server.sockets[0].getsockname()[1]
    try:
        _, first = await asyncio.open_connection("127.0.0.1", port)
        reader, second = await asyncio.open_connection("127.0.0.1", port)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        first.close()
        second.close()
    finally:
        server.close()
        await runner.cleanup()
