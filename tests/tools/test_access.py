"""Who may see and call what, and whose credential goes where."""

import asyncio
import base64
import json

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from support.loopback_tools import Seen, http_tool, served

from .conftest import ADMIN, Cluster, tool

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_callers_see_and_call_what_rbac_gives_them(up: Cluster) -> None:
    kube, seen = up.kube, Seen()
    kube.users |= {"team-token": "ann", "one-token": "bob", "none-token": "eve"}
    kube.allowed |= {("ann", "get", "bells", ""), ("bob", "get", "bells", "one")}
    kube.allowed |= {("ann", "call", "bells", "one")}
    async with served(http_tool(seen)) as url:
        for name in ("one", "two"):
            await kube.put(tool(name, f"Ring bell {name}.", "bells", http={"url": url}))
        await kube.put(tool("far", "Ring a far bell.", "tower", http={"url": url}))
        await kube.put(tool("open", "Ring a bell for all.", "square", sharing="cluster"))
        await up.until_found("square/open")

        async def rung(token: str) -> set[str]:
            return await up.names("ring the bell", token, namespaces=["bells", "tower", "square"])

        assert await rung(ADMIN) == {"bells/one", "bells/two", "tower/far", "square/open"}
        assert await rung("team-token") == {"bells/one", "bells/two", "square/open"}
        assert await rung("one-token") == {"bells/one", "square/open"}
        assert await rung("none-token") == {"square/open"}
        assert await up.names("ring", "none-token", namespaces=["bells"]) == set()

        assert (await up.call("bells/one", "team-token"))[0] == 200
        status, answer = await up.call("bells/two", "team-token")
        assert (status, answer["error"]["code"]) == (403, "forbidden")
        status, answer = await up.call("bells/two", "none-token")
        assert (status, answer["error"]["code"]) == (404, "not_found")
        assert len(seen.requests) == 1

        kube.allowed.discard(("ann", "get", "bells", ""))

        async def lost() -> bool:
            return await rung("team-token") == {"square/open"}

        await up.service.until(lost)


async def test_reviews_are_asked_once_while_they_hold(up: Cluster) -> None:
    up.kube.users["cached-token"] = "cyd"
    up.kube.allowed.add(("cyd", "get", "", ""))
    before = len(up.kube.reviews)
    for _ in range(5):
        await up.names("anything", "cached-token")
    asked = up.kube.reviews[before:]
    assert [one["resourceAttributes"] for one in asked if one["user"] == "cyd"][:1] == [
        {"group": "flagscale.dev", "version": "v1alpha1", "resource": "agenttools", "verb": "get"}
    ]
    assert len(asked) <= 2


@pytest.mark.parametrize("header", [None, "Bearer bad", "Basic eA==", "Bearer " + "x" * 20_000])
@pytest.mark.parametrize("path", ["/v1/tools", "/mcp", "/v1/categories"])
async def test_without_a_good_token_nobody_gets_in(
    up: Cluster, path: str, header: str | None
) -> None:
    async with up.service.client() as client:
        answer = await client.get(path, headers={"authorization": header} if header else {})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "audience flagscale-tools" in answer.json()["error"]["message"]


async def test_a_caller_who_asks_too_often_is_told_when_to_come_back(up: Cluster) -> None:
    up.kube.users["busy-token"] = "dan"

    async with up.service.client(headers={"authorization": "Bearer busy-token"}) as client:

        async def ask() -> httpx2.Response:
            while True:
                answer = await client.get("/v1/nothing")
                if answer.status_code != 404:
                    return answer

        async with asyncio.timeout(60):
            answer, *_ = await asyncio.gather(*(ask() for _ in range(16)))
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert "caller dan: over the limit of 1000 requests per minute" in answer.text
    assert await up.names("anything") is not None


async def test_mcp_asks_for_the_same_token(up: Cluster) -> None:
    await up.kube.put(tool("lathe", "Turn a table leg.", "shop"))
    await up.until_found("shop/lathe")
    async with up.service.client(headers={"authorization": f"Bearer {ADMIN}"}) as http:
        streams = streamable_http_client(f"{up.service.url}/mcp", http_client=http)
        async with Client(streams) as mcp:
            found = await mcp.call_tool("find_tools", {"query": "turn a table leg"})
    assert found.structured_content["tools"][0]["name"] == "lathe"


async def test_credentials_go_to_the_tool_and_to_no_one_else(up: Cluster) -> None:
    auth = {"secretKeyRef": {"name": "shop", "key": "token"}}
    seen = Seen()
    async with served(http_tool(seen)) as url:
        await up.kube.put(tool("book", "Order a book.", "store", http={"url": url}, auth=auth))
        other = {**auth, "header": "X-Api-Key", "scheme": ""}
        await up.kube.put(tool("pen", "Order a pen.", "store", http={"url": url}, auth=other))
        await up.until_found("store/pen")
        status, answer = await up.call("store/book")
        assert (status, answer["error"]["code"]) == (502, "no_credential")
        assert "tools.secretNamespaces" in answer["error"]["message"]

        secret = base64.b64encode(b"s3cret\n").decode()
        up.kube.secrets["store", "shop"] = {"data": {"token": secret}}
        assert (await up.call("store/book"))[0] == 200
        assert (await up.call("store/pen"))[0] == 200
    first, second = (one["headers"] for one in seen.requests)
    assert first["authorization"] == "Bearer s3cret"
    assert second["x-api-key"] == "s3cret"
    assert "authorization" not in second
    assert "s3cret" not in json.dumps(up.service.said)


async def test_without_the_api_server_known_callers_go_on_and_new_ones_wait(up: Cluster) -> None:
    await up.names("anything")
    up.kube.down = True
    async with up.service.client(headers={"authorization": "Bearer new"}) as client:
        answer = await client.get("/v1/tools")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "not_reviewed")
    up.kube.down = False
