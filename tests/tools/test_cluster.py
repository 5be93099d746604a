"""The service over an API server: its watch, who may see and call, credentials, status."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from support.scripted_kube import ScriptedKube, scripted_kube
from support.tool_servers import Seen, http_tool, served
from support.tool_service import COMMAND, ToolServiceProcess, agent_tool, tool_service

ADMIN = "admin-token"


class Cluster:
    """The service, its API server, and callers."""

    def __init__(self, service: ToolServiceProcess, kube: ScriptedKube) -> None:
        self.service = service
        self.kube = kube

    async def find(self, query: str, token: str = ADMIN, **more: Any) -> Any:
        async with self.service.client(headers={"authorization": f"Bearer {token}"}) as client:
            body = {"query": query, "min_confidence": 0, **more}
            return (await client.post("/v1/tools:match", json=body)).json()

    async def names(self, query: str, token: str = ADMIN, **more: Any) -> set[str]:
        found = await self.find(query, token, **more)
        return {f"{one['namespace']}/{one['name']}" for one in found["tools"]}

    async def call(self, name: str, token: str, **arguments: Any) -> tuple[int, Any]:
        async with self.service.client(headers={"authorization": f"Bearer {token}"}) as client:
            path = f"/v1/tools/team/{name}:call"
            answer = await client.post(path, json={"arguments": arguments})
            return answer.status_code, answer.json()

    async def until_found(self, name: str, query: str) -> None:
        async def found() -> bool:
            return name in await self.names(query, k=100)

        await self.service.until(found)


@asynccontextmanager
async def cluster(folder: Path, kube: ScriptedKube, *options: str) -> AsyncIterator[Cluster]:
    kube.users["admin-token"] = "admin"
    kube.allowed |= {("admin", "get", "", ""), ("admin", "call", "", "")}
    account = folder / "account"
    account.mkdir()
    async with scripted_kube(kube, account) as environ:
        given = ("--service-account", str(account), "--access-seconds", "1", *options)
        async with tool_service(folder, *given, environ=environ) as service:
            yield Cluster(service, kube)


def tool(name: str, description: str, namespace: str = "team", **spec: Any) -> dict[str, Any]:
    body = agent_tool(name, description, **spec)
    body["metadata"]["namespace"] = namespace
    return body


async def test_changes_are_followed_over_lost_watches_and_expired_versions(tmp_path: Path) -> None:
    kube = ScriptedKube()
    await kube.put(tool("first", "Peel an orange."))
    async with cluster(tmp_path, kube) as up:
        assert await up.names("peel an orange") == {"team/first"}
        await kube.put(tool("second", "Peel a lemon."))
        await up.until_found("team/second", "peel a lemon")

        await kube.drop_watches()
        await kube.put(tool("third", "Peel a lime."))
        await up.until_found("team/third", "peel a lime")
        assert kube.lists == 1

        kube.down = True
        await kube.delete("team", "second")
        await kube.forget()
        assert "team/first" in await up.names("peel an orange")
        kube.down = False

        async def gone() -> bool:
            return "team/second" not in await up.names("peel a lemon", k=100)

        await up.service.until(gone)
        assert kube.lists == 2


async def test_callers_see_and_call_what_rbac_gives_them(tmp_path: Path) -> None:
    kube, seen = ScriptedKube(), Seen()
    async with served(http_tool(seen)) as url:
        for name in ("one", "two"):
            await kube.put(tool(name, f"Ring bell {name}.", http={"url": f"{url}/{name}"}))
        await kube.put(tool("far", "Ring a far bell.", "other", http={"url": url}))
        await kube.put(tool("open", "Ring a bell for all.", "third", sharing="cluster"))
        kube.users |= {"team-token": "ann", "one-token": "bob", "none-token": "eve"}
        kube.allowed |= {("ann", "get", "team", ""), ("bob", "get", "team", "one")}
        kube.allowed |= {("ann", "call", "team", "one")}
        async with cluster(tmp_path, kube) as up:
            everything = {"team/one", "team/two", "other/far", "third/open"}
            assert await up.names("ring a bell", k=9) == everything
            assert await up.names("ring", "team-token", k=9) == {
                "team/one",
                "team/two",
                "third/open",
            }
            assert await up.names("ring", "one-token", k=9) == {"team/one", "third/open"}
            assert await up.names("ring", "none-token", k=9) == {"third/open"}
            assert await up.names("ring", "none-token", k=9, namespaces=["team"]) == set()

            assert (await up.call("one", "team-token"))[0] == 200
            status, answer = await up.call("two", "team-token")
            assert (status, answer["error"]["code"]) == (403, "forbidden")
            status, answer = await up.call("two", "none-token")
            assert (status, answer["error"]["code"]) == (404, "not_found")

            kube.allowed.discard(("ann", "get", "team", ""))

            async def lost() -> bool:
                return await up.names("ring", "team-token", k=9) == {"third/open"}

            await up.service.until(lost)


async def test_without_a_good_token_nobody_gets_in(tmp_path: Path) -> None:
    kube = ScriptedKube()
    limit = ("--requests-per-minute", "5")
    async with cluster(tmp_path, kube, *limit) as up, up.service.client() as client:
        for headers in ({}, {"authorization": "Bearer bad"}, {"authorization": "Basic eA=="}):
            for path in ("/v1/tools", "/mcp", "/v1/categories"):
                answer = await client.get(path, headers=headers)
                assert answer.status_code == 401
                assert "audience flagscale-tools" in answer.json()["error"]["message"]
        good = {"authorization": "Bearer admin-token"}
        codes = [(await client.get("/v1/tools", headers=good)).status_code for _ in range(7)]
        assert codes == [200] * 5 + [429] * 2
        assert (await client.get("/health")).status_code == 200
        kube.down = True
        answer = await client.get("/v1/tools", headers={"authorization": "Bearer new"})
        assert answer.status_code == 503


async def test_mcp_asks_for_the_same_token(tmp_path: Path) -> None:
    kube = ScriptedKube()
    await kube.put(tool("first", "Peel an orange."))
    async with cluster(tmp_path, kube) as up:
        headers = {"authorization": "Bearer admin-token"}
        async with up.service.client(headers=headers) as http:
            streams = streamable_http_client(f"{up.service.url}/mcp", http_client=http)
            async with Client(streams) as mcp:
                found = await mcp.call_tool("find_tools", {"query": "peel an orange"})
        assert found.structured_content["tools"][0]["name"] == "first"


async def test_credentials_go_to_the_tool_and_to_no_one_else(tmp_path: Path) -> None:
    kube, seen = ScriptedKube(), Seen()
    auth = {"secretKeyRef": {"name": "shop", "key": "token"}}
    async with served(http_tool(seen)) as url:
        await kube.put(tool("shop", "Order a book.", http={"url": f"{url}/order"}, auth=auth))
        other = {**auth, "header": "X-Api-Key", "scheme": ""}
        await kube.put(tool("shop-2", "Order a pen.", http={"url": f"{url}/order"}, auth=other))
        async with cluster(tmp_path, kube) as up:
            status, answer = await up.call("shop", "admin-token")
            assert (status, answer["error"]["code"]) == (502, "no_credential")
            assert "tools.secretNamespaces" in answer["error"]["message"]

            secret = base64.b64encode(b"s3cret\n").decode()
            kube.secrets["team", "shop"] = {"data": {"token": secret}}
            assert (await up.call("shop", "admin-token"))[0] == 200
            assert (await up.call("shop-2", "admin-token"))[0] == 200
            first, second = (one["headers"] for one in seen.requests)
            assert first["authorization"] == "Bearer s3cret"
            assert second["x-api-key"] == "s3cret"
            assert "authorization" not in second
        assert not any("s3cret" in line for line in up.service.said)


async def test_a_drifted_tool_is_found_but_not_called_until_approved(tmp_path: Path) -> None:
    kube, seen = ScriptedKube(), Seen()
    async with served(http_tool(seen)) as url:
        body = tool("ship", "Ship an order.", http={"url": f"{url}/ship"})
        drifted = {"type": "SchemaDrifted", "status": "True", "message": "parameters differ"}
        body["status"] = {"observedGeneration": 1, "conditions": [drifted]}
        await kube.put(body)
        async with cluster(tmp_path, kube) as up:
            assert await up.names("ship an order") == {"team/ship"}
            status, answer = await up.call("ship", "admin-token")
            assert (status, answer["error"]["code"]) == (409, "schema_drifted")
            assert seen.requests == []

            body["status"]["conditions"] = [{**drifted, "status": "False"}]
            await kube.put(body)

            async def called() -> bool:
                return (await up.call("ship", "admin-token"))[0] == 200

            await up.service.until(called)


async def test_calls_are_added_to_the_status(tmp_path: Path) -> None:
    kube = ScriptedKube()
    async with served(http_tool(Seen())) as url:
        body = tool("ring", "Ring a bell.", http={"url": url})
        body["status"] = {"calls": 40}
        await kube.put(body)
        async with cluster(tmp_path, kube) as up:
            for _ in range(2):
                assert (await up.call("ring", "admin-token"))[0] == 200

            async def counted() -> bool:
                return bool(kube.objects["team", "ring"]["status"]["calls"] == 42)

            await up.service.until(counted)


async def test_the_index_tells_generations_and_faults_on_its_own_port(tmp_path: Path) -> None:
    kube = ScriptedKube()
    await kube.put(tool("good", "Peel an orange."))
    await kube.put(tool("bad", "Peel a lemon.", nonsense=True))
    async with cluster(tmp_path, kube) as up:
        await kube.put(tool("good", "Peel an orange, all of it."))

        async def current() -> bool:
            async with up.service.client() as client:
                tools = (await client.get("/v1/index")).json()["tools"]
            return bool(tools["uid-good"]["generation"] == 2)

        await up.service.until(current)
        async with up.service.client() as client:
            tools = (await client.get("/v1/index")).json()["tools"]
    assert "spec.nonsense" in tools["uid-bad"]["error"]
    assert tools["uid-good"].get("error", "") == ""


async def test_a_hundred_updates_a_second_tear_nothing(tmp_path: Path) -> None:
    """Every answer has each tool once, all of one version, and never an older one than before."""
    kube = ScriptedKube()
    names = ("zebra-left", "zebra-right")

    async def put(number: int) -> None:
        for name in names:
            words = f"version {number}"
            await kube.put(tool(name, f"Striping of zebras, {words}.", category=words))

    await put(0)
    async with cluster(tmp_path, kube) as up:
        torn: list[Any] = []
        answers, updating = 0, True

        async def ask() -> None:
            nonlocal answers
            newest = dict.fromkeys(names, 0)
            while updating:
                found = (await up.find("striping of zebras", k=9))["tools"]
                answers += 1
                told = {one["name"]: one["description"] for one in found}
                numbers = {name: int(told[name].split()[-1].strip(".")) for name in told}
                whole = len(found) == len(told) == 2
                if not whole or any(numbers[name] < newest[name] for name in names):
                    torn.append(found)
                newest = numbers

        asking = [asyncio.create_task(ask()) for _ in range(3)]
        started = time.monotonic()
        for number in range(1, 151):
            await put(number)
            await asyncio.sleep(max(0.0, started + number / 50 - time.monotonic()))
        took_s = time.monotonic() - started
        updating = False
        await asyncio.gather(*asking)
        assert torn == []
        assert answers > 20
        assert 300 / took_s > 90

        async def settled() -> bool:
            found = (await up.find("striping of zebras", k=9))["tools"]
            return all("version 150." in one["description"] for one in found)

        await up.service.until(settled)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--tools", "/none.yaml"), "tools: no such file or folder, got /none.yaml"),
        (("--tools", "/", "--host", "192.0.2.1"), "--host: with --tools nobody is asked"),
        (("--allow-loopback",), "--allow-loopback: is for tools on this machine"),
        (("--service-account", "/none"), "service account: none here, got /none"),
    ],
)
async def test_it_says_in_a_sentence_why_it_cannot_start(
    options: tuple[str, ...], told: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(*COMMAND, "--port", "0", *options), stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    assert process.returncode == 1
    assert said.decode().splitlines()[-1].startswith(f"tools: {told}")
