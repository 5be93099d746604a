"""Sources are asked over real MCP and HTTP on this machine."""

import asyncio
import base64
from typing import Any

import pytest
from mcp_types import ToolAnnotations
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from flagscale_api.runtime.egress import AddressPolicy
from flagscale_operator.errors import ApiError
from flagscale_operator.kube.kinds import CONFIG_MAP, SECRET
from flagscale_operator.outside.remote_tools import Listing
from flagscale_operator.outside.source_listing import (
    Credential,
    KeyOf,
    Offer,
    SourceLister,
    pace_s,
)
from support.fake_kube import FakeKube
from support.tool_servers import McpTools, serving, tool

TOKEN = Credential(KeyOf("s", "token"), "Authorization", "Bearer")
DOCUMENT = """
openapi: 3.1.0
info: {title: Shop, version: "2"}
servers: [{url: /v1}]
paths:
  /orders: {get: {operationId: list_orders, responses: {}}}
"""


def secret(value: str) -> dict[str, Any]:
    coded = base64.b64encode(value.encode()).decode()
    return {"metadata": {"namespace": "ns", "name": "s"}, "data": {"token": coded}}


async def ask(kube: FakeKube | None = None, **offer: Any) -> Listing:
    lister = SourceLister(kube or FakeKube(), AddressPolicy(loopback=True))
    return await lister.ask(Offer(namespace="ns", timeout_s=5, **offer))


async def test_all_pages_of_a_server_are_read() -> None:
    server = McpTools([tool(f"t{i}", path={}) for i in range(25)], page=10)
    with serving(server.app) as url:
        listing = await ask(mcp_url=f"{url}/mcp")
    assert (listing.reason, listing.server) == ("", "toolbox 1.2")
    assert [one.name for one in listing.tools] == [f"t{i}" for i in range(25)]
    assert '"path"' in listing.tools[0].parameters
    assert server.lists == 3


async def test_a_server_says_which_tools_may_be_called_twice() -> None:
    plain, reading = tool("a"), tool("b")
    reading.annotations = ToolAnnotations(read_only_hint=True)
    with serving(McpTools([plain, reading]).app) as url:
        listing = await ask(mcp_url=f"{url}/mcp")
    assert [one.idempotent for one in listing.tools] == [False, True]


async def test_the_same_server_twice_gives_equal_listings() -> None:
    with serving(McpTools([tool("a", x={}, y={})]).app) as url:
        first, second = [await ask(mcp_url=f"{url}/mcp") for _ in range(2)]
    assert first == second


async def test_a_credential_is_sent() -> None:
    kube = FakeKube((SECRET, secret("sesame")))
    with serving(McpTools([tool("a")], token="sesame").app) as url:
        listing = await ask(kube, mcp_url=f"{url}/mcp", credential=TOKEN)
        refused = await ask(mcp_url=f"{url}/mcp")
    assert (listing.reason, len(listing.tools)) == ("", 1)
    assert refused.reason == "Unauthorized"
    assert "name a credential in spec.auth" in refused.message


async def test_a_change_is_told_at_once_by_servers_that_tell() -> None:
    server, told = McpTools([tool("a")]), asyncio.Queue[None]()
    with serving(server.app) as url:
        lister = SourceLister(FakeKube(), AddressPolicy(loopback=True))
        offer = Offer(namespace="ns", mcp_url=f"{url}/mcp")
        following = asyncio.create_task(lister.follow(offer, lambda: told.put_nowait(None)))
        async with asyncio.timeout(10):
            # The first is for what may have changed before.
            await told.get()
            await asyncio.to_thread(server.change, tool("b"))
            await told.get()
    # The end of a server is news, too.
    async with asyncio.timeout(10):
        await following
    assert told.qsize() == 1


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:1/mcp", "http://169.254.169.254/mcp"])
async def test_following_ends_quietly_where_nothing_is_told(url: str) -> None:
    changed: list[int] = []
    lister = SourceLister(FakeKube(), AddressPolicy(loopback=True))
    await lister.follow(Offer(namespace="ns", mcp_url=url), lambda: changed.append(1))
    with serving(McpTools([tool("a")], tells=False).app) as base:
        offer = Offer(namespace="ns", mcp_url=f"{base}/mcp")
        await lister.follow(offer, lambda: changed.append(1))
    assert changed == []


@pytest.mark.parametrize("value", ["", "two\nlines", "schlüssel"])
async def test_a_credential_that_is_no_header_is_refused(value: str) -> None:
    kube = FakeKube((SECRET, secret(value)))
    listing = await ask(kube, mcp_url="http://127.0.0.1:1/mcp", credential=TOKEN)
    assert listing.reason == "SecretUnusable"
    assert value not in listing.message or not value


async def test_a_missing_or_forbidden_secret_is_told() -> None:
    missing = await ask(mcp_url="http://127.0.0.1:1/mcp", credential=TOKEN)
    assert (missing.reason, missing.tools) == ("SecretNotFound", ())
    kube = FakeKube()
    kube.refuse("get", ApiError(403, "Forbidden", "no", "get", "secrets"))
    forbidden = await ask(kube, mcp_url="http://127.0.0.1:1/mcp", credential=TOKEN)
    assert forbidden.reason == "SecretForbidden"
    assert "add ns to tools.secretNamespaces of the chart" in forbidden.message


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:1/mcp", "Unreachable"),
        ("http://no-such-host.invalid/mcp", "DoesNotResolve"),
        ("http://169.254.169.254/mcp", "ForbiddenAddress"),
        ("http://10.255.255.1/mcp", "ForbiddenAddress"),
    ],
)
async def test_a_server_that_may_not_or_can_not_be_asked_is_told(url: str, reason: str) -> None:
    assert (await ask(mcp_url=url)).reason == reason
    assert (await ask(document_url=url)).reason == reason


def web(answer: Response) -> ASGIApp:
    async def page(_: Request) -> Response:
        return answer

    return Starlette(routes=[Route("/{path:path}", page, methods=["GET", "POST"])])


async def test_what_does_not_speak_mcp_is_told() -> None:
    with serving(web(PlainTextResponse("hello"))) as url:
        listing = await ask(mcp_url=f"{url}/mcp")
    assert listing.reason == "BadAnswer"
    assert f"{url}/mcp: does not speak MCP" in listing.message


async def test_a_server_that_redirects_to_a_forbidden_address_is_told() -> None:
    answer = RedirectResponse("http://169.254.169.254/mcp", status_code=307)
    with serving(web(answer)) as url:
        listing = await ask(mcp_url=f"{url}/mcp")
        document = await ask(document_url=f"{url}/openapi.json")
    assert listing.reason == document.reason == "Redirected"
    assert "redirects to http://169.254.169.254/mcp; name that instead" in listing.message


async def test_a_document_is_read_from_its_url() -> None:
    with serving(web(PlainTextResponse(DOCUMENT))) as url:
        listing = await ask(document_url=f"{url}/api/openapi.yaml")
    (found,) = listing.tools
    assert found.http
    assert (listing.server, found.http.url) == ("Shop 2", f"{url}/v1/orders")


async def test_a_document_is_read_from_a_config_map() -> None:
    body = {"metadata": {"namespace": "ns", "name": "c"}, "data": {"d": DOCUMENT}}
    kube = FakeKube((CONFIG_MAP, body))
    listing = await ask(kube, document=KeyOf("c", "d"), server_url="https://shop.example.org/v1")
    assert listing.tools[0].http
    assert listing.tools[0].http.url == "https://shop.example.org/v1/orders"
    without = await ask(kube, document=KeyOf("c", "d"))
    assert "say the base URL in spec.openApi.serverUrl" in without.message
    assert (await ask(kube, document=KeyOf("c", "other"))).reason == "DocumentNotFound"


async def test_a_server_without_mcp_at_that_path_is_told() -> None:
    with serving(McpTools().app) as url:
        listing = await ask(mcp_url=f"{url}/other")
    assert (listing.reason, listing.message) == (
        "BadAnswer",
        f"{url}/other: answers 404; correct the URL",
    )


@pytest.mark.parametrize(
    ("status", "reason"), [(401, "Unauthorized"), (404, "BadAnswer"), (500, "BadAnswer")]
)
async def test_a_page_instead_of_a_document_is_told(status: int, reason: str) -> None:
    with serving(web(PlainTextResponse("no", status_code=status))) as url:
        assert (await ask(document_url=url)).reason == reason


async def test_too_large_a_document_is_told() -> None:
    with serving(web(PlainTextResponse("x" * (5 << 20)))) as url:
        assert (await ask(document_url=url)).reason == "TooLarge"


async def test_an_unavailable_api_server_is_told() -> None:
    kube = FakeKube()
    kube.refuse("get", ApiError(500, "Internal", "boom", "get", "secrets"))
    listing = await ask(kube, mcp_url="http://127.0.0.1:1/mcp", credential=TOKEN)
    assert listing.reason == "ClusterUnavailable"


def test_a_failing_source_is_asked_less_and_less_often() -> None:
    offer, failed = Offer(namespace="ns", resync_s=100), Listing(reason="Unreachable")
    assert [pace_s(offer, failed, times) for times in (1, 2, 3, 9)] == [5, 10, 20, 100]
    assert pace_s(offer, Listing(), 5) == 100
