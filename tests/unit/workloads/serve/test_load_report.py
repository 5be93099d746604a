"""Telling the load: when, what, and what an operator that is away changes (nothing)."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from flagscale_api.runtime.serve import LoadReportSpec
from flagscale_workloads.serve.dispatch import Dispatcher
from flagscale_workloads.serve.http.messages import HttpError
from flagscale_workloads.serve.load_report import LoadMeter, LoadReporter
from flagscale_workloads.serve.policies import LeastOutstanding, RouteKey
from flagscale_workloads.serve.replicas import Replica, ReplicaSet


def test_a_mean_is_reported_each_second_while_busy_and_seldom_when_idle() -> None:
    meter, reports = LoadMeter(), []
    for tenth in range(200):
        now = tenth / 10
        # Busy from 6 s to 8 s.
        requests = 4 if 60 <= tenth < 80 else 0
        if meter.sample(requests, starved=False, now=now):
            reports.append((now, meter.take(starved=False, now=now)))

    times = [at for at, _ in reports]
    assert times[0] == 0
    assert [at for at in times if 6 <= at <= 9.1] == pytest.approx([6, 7, 8, 9], abs=0.11)
    assert sum(mean for at, mean in reports if 6 < at < 9.2) == pytest.approx(8, rel=0.1)
    assert len([at for at in times if at > 9.2]) <= 3


def test_the_first_request_that_waits_for_an_engine_is_told_at_once() -> None:
    meter = LoadMeter()
    assert meter.sample(0, starved=False, now=0)
    meter.take(starved=False, now=0)
    assert not meter.sample(0, starved=False, now=0.1)
    assert meter.sample(1, starved=True, now=0.2)
    meter.take(starved=True, now=0.2)
    assert not meter.sample(1, starved=True, now=0.3)


@dataclass
class Operator:
    reports: list[dict[str, Any]] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    status: int = 200
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.Response:
        self.tokens.append(request.headers.get("Authorization"))
        self.reports.append(await request.json())
        self.heard.set()
        return web.Response(status=self.status)


@pytest.fixture
async def operator() -> AsyncIterator[tuple[Operator, str]]:
    made = Operator()
    app = web.Application()
    app.router.add_post("/load", made.handle)
    async with TestServer(app) as server:
        yield made, str(server.make_url("/load"))


def dispatcher(*, hold_s: float) -> Dispatcher:
    return Dispatcher(
        ReplicaSet(),
        LeastOutstanding(),
        per_replica_concurrency=1,
        queue_size=4,
        queue_timeout_s=0.01,
        hold_timeout_s=hold_s,
        now=asyncio.get_running_loop().time,
    )


async def test_a_request_without_an_engine_is_told_and_held_until_there_is_one(
    operator: tuple[Operator, str], tmp_path: Path
) -> None:
    told, url = operator
    token = tmp_path / "token"
    token.write_text("mine\n")
    made = dispatcher(hold_s=30)
    waiting = asyncio.create_task(made.acquire(RouteKey()))
    await asyncio.sleep(0)
    spec = LoadReportSpec(url=url, ca_file="/none", token_file=str(token))
    reporter = LoadReporter(spec, made, asyncio.get_running_loop().time)
    reporting = asyncio.create_task(reporter.run())

    await asyncio.wait_for(told.heard.wait(), 5)
    replica = Replica.at("r", "127.0.0.1", 1)
    replica.ready = True
    made.replicas.add(replica)

    assert await asyncio.wait_for(waiting, 5) is replica
    assert told.reports[0] == {"requests": 1, "waiting": 1}
    assert told.tokens[0] == "Bearer mine"
    reporting.cancel()


async def test_a_request_is_not_held_for_ever() -> None:
    with pytest.raises(HttpError) as late:
        await dispatcher(hold_s=0.02).acquire(RouteKey())
    assert late.value.status == 503
    assert dict(late.value.headers)[b"retry-after"]
