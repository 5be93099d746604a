"""Logs and answers by way of the API server's HTTP, over a real connection."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from flagscale_operator.errors import ApiError
from flagscale_operator.kube.budget import RequestBudget
from flagscale_operator.kube.connection import Connection
from flagscale_runner.base import RunnerError
from flagscale_runner.cluster.api import ClusterApi
from flagscale_runner.cluster.logs import merged_lines

PODS = "/api/v1/namespaces/team/pods"
DOOR = "/api/v1/namespaces/team/services/http:tiny:80/proxy/v1/completions"


async def log(request: web.Request) -> web.StreamResponse:
    name = request.match_info["name"]
    if name == "waits":
        return web.json_response({"message": "is waiting to start"}, status=400)
    if name == "forbidden":
        return web.Response(text="pods/log is forbidden", status=403)
    response = web.StreamResponse()
    await response.prepare(request)
    for part in (f"{name} one\n{name} t", "wo\n", f"{name} last"):
        await response.write(part.encode())
    return response


async def door(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    if body["prompt"] == "refuse":
        return web.json_response({"error": {"message": "too long"}}, status=400)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(b"data: {}\r\n\r\ndata: [DONE]\r\n")
    return response


@asynccontextmanager
async def cluster() -> AsyncIterator[ClusterApi]:
    app = web.Application()
    app.add_routes([web.get(f"{PODS}/{{name}}/log", log), web.post(DOOR, door)])
    served = web.AppRunner(app)
    await served.setup()
    site = web.TCPSite(served, "127.0.0.1", 0)
    await site.start()
    host, port = served.addresses[0][:2]
    api = ClusterApi.open(
        Connection(f"http://{host}:{port}", token="t"),
        field_manager="test",
        budget=RequestBudget(rate_per_s=None),
        on_request=lambda *_: None,
    )
    try:
        yield api
    finally:
        await api.close()
        await served.cleanup()


def pod(name: str) -> dict[str, object]:
    return {
        "metadata": {"namespace": "team", "name": name},
        "spec": {"containers": [{"name": "c"}]},
    }


@pytest.mark.parametrize("follow", [False, True])
async def test_lines_are_whole_however_they_come(*, follow: bool) -> None:
    async with cluster() as api:
        lines = [line async for line in merged_lines(api, [pod("a")], follow=follow)]
    assert lines == ["a one", "a two", "a last"]


@pytest.mark.parametrize("follow", [False, True])
async def test_lines_of_several_pods_carry_their_names(*, follow: bool) -> None:
    async with cluster() as api:
        pods = [pod("a"), pod("b"), pod("waits")]
        lines = [line async for line in merged_lines(api, pods, follow=follow)]
    assert sorted(lines) == [f"[{n}] {n} {word}" for n in "ab" for word in ("last", "one", "two")]


@pytest.mark.parametrize("follow", [False, True])
async def test_a_log_that_may_not_be_read_is_an_error(*, follow: bool) -> None:
    async with cluster() as api:
        with pytest.raises(ApiError, match="pods/log is forbidden"):
            [line async for line in merged_lines(api, [pod("forbidden")], follow=follow)]


async def test_a_service_is_asked_through_the_api_server() -> None:
    async with cluster() as api:
        asked = api.answer_lines("team", "tiny", "/v1/completions", {"prompt": "hello"})
        assert [line async for line in asked] == ["data: {}", "", "data: [DONE]"]


async def test_its_refusal_is_a_sentence() -> None:
    async with cluster() as api:
        asked = api.answer_lines("team", "tiny", "/v1/completions", {"prompt": "refuse"})
        with pytest.raises(RunnerError, match="refused with 400: too long"):
            [line async for line in asked]
