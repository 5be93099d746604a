"""The service over an API server: its watch, what the operator is told, changes at full speed."""

import asyncio
import time
from typing import Any

import pytest

from support.loopback_tools import Seen, http_tool, served
from support.tool_service import COMMAND

from .conftest import ADMIN, Cluster, tool

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_changes_are_followed_over_lost_watches_and_expired_versions(up: Cluster) -> None:
    kube = up.kube
    await kube.put(tool("orange", "Peel an orange.", "fruit"))
    await kube.put(tool("lemon", "Peel a lemon.", "fruit"))
    await up.until_found("fruit/lemon")
    lists = kube.lists

    await kube.drop_watches()
    await kube.put(tool("lime", "Peel a lime.", "fruit"))
    await up.until_found("fruit/lime")
    assert kube.lists == lists

    kube.down = True
    await kube.delete("fruit", "lemon")
    await kube.forget()
    assert "fruit/orange" in await up.names("peel an orange")
    kube.down = False

    async def gone() -> bool:
        return "fruit/lemon" not in await up.names("peel a lemon", k=100)

    await up.service.until(gone)
    assert kube.lists == lists + 1


async def test_a_drifted_tool_is_found_but_not_called_until_approved(up: Cluster) -> None:
    seen = Seen()
    async with served(http_tool(seen)) as url:
        body = tool("ship", "Ship an order.", "drift", http={"url": f"{url}/ship"})
        drifted = {"type": "SchemaDrifted", "status": "True", "message": "parameters differ"}
        body["status"] = {"observedGeneration": 1, "conditions": [drifted]}
        await up.kube.put(body)
        await up.until_found("drift/ship")
        assert await up.names("ship an order", namespaces=["drift"]) == {"drift/ship"}
        status, answer = await up.call("drift/ship")
        assert (status, answer["error"]["code"]) == (409, "schema_drifted")
        assert "parameters differ" in answer["error"]["message"]
        assert seen.requests == []

        body["status"]["conditions"] = [{**drifted, "status": "False"}]
        await up.kube.put(body)

        async def called() -> bool:
            return (await up.call("drift/ship"))[0] == 200

        await up.service.until(called)


async def test_calls_are_added_to_the_status(up: Cluster) -> None:
    async with served(http_tool(Seen())) as url:
        body = tool("ring", "Ring a bell.", "count", http={"url": url})
        body["status"] = {"calls": 40}
        await up.kube.put(body)
        await up.until_found("count/ring")
        for _ in range(2):
            assert (await up.call("count/ring"))[0] == 200

        async def counted() -> bool:
            return bool(up.kube.objects["count", "ring"]["status"]["calls"] == 42)

        await up.service.until(counted)


async def test_the_index_tells_generations_and_faults(up: Cluster) -> None:
    await up.kube.put(tool("good", "Peel an onion.", "index"))
    await up.kube.put(tool("bad", "Peel a leek.", "index", nonsense=True))
    await up.kube.put(tool("good", "Peel an onion, all of it.", "index"))

    async def index() -> Any:
        async with up.service.client() as client:
            return (await client.get("/v1/index")).json()

    async def current() -> bool:
        return bool((await index())["tools"].get("uid-good") == 2)

    await up.service.until(current)
    report = await index()
    assert report["refused"] == {"uid-bad": 1}
    assert "uid-bad" not in report["tools"]
    assert any("index/bad: spec.nonsense" in line for line in up.service.said)


async def test_a_deleted_tool_is_gone_within_a_second_whatever_waits(up: Cluster) -> None:
    await up.kube.put(tool("juggle", "Juggle seven flaming torches.", "circus"))
    await up.until_found("circus/juggle")
    # A hundred new tools wait to be embedded at the same moment.
    for number in range(100):
        await up.kube.put(tool(f"crowd-{number}", f"Crowd number {number} of a town.", "crowd"))
    await up.kube.delete("circus", "juggle")
    deleted = time.monotonic()

    async def gone() -> bool:
        return "circus/juggle" not in await up.names("juggle flaming torches")

    await up.service.until(gone)
    assert time.monotonic() - deleted < 1


class Reader:
    """Asks for two tools again and again; keeps every answer that mixes what it must not."""

    def __init__(self, up: Cluster, token: str) -> None:
        self.up = up
        self.token = token
        self.torn: list[Any] = []
        self.answers = 0
        self.reading = True
        up.kube.users[token] = "admin"

    async def read(self) -> None:
        newest = {"left": 0, "right": 0}
        while self.reading:
            found = await zebras(self.up, self.token)
            self.answers += 1
            told = {one["name"]: one["description"] for one in found}
            numbers = {name: int(text.split()[-1].strip(".")) for name, text in told.items()}
            whole = len(found) == len(told) == len(newest)
            if not whole or any(numbers[name] < newest[name] for name in newest):
                self.torn.append(found)
            newest |= numbers


async def zebras(up: Cluster, token: str) -> list[dict[str, Any]]:
    found = await up.find("striping of zebras", token, k=9, namespaces=["zoo"])
    tools: list[dict[str, Any]] = found["tools"]
    return tools


async def put_zebras(up: Cluster, number: int) -> None:
    for name in ("left", "right"):
        words = f"version {number}"
        await up.kube.put(tool(name, f"Striping of zebras, {words}.", "zoo", category=words))


async def test_a_hundred_updates_a_second_tear_nothing(up: Cluster) -> None:
    """Every answer has each tool once, and never an older version than before."""
    await put_zebras(up, 0)
    await up.until_found("zoo/right")
    readers = [Reader(up, f"zoo-token-{number}") for number in range(3)]
    reading = [asyncio.create_task(reader.read()) for reader in readers]
    started = time.monotonic()
    number = 0
    while number < 150 or any(reader.answers < 10 for reader in readers):
        number += 1
        await put_zebras(up, number)
        await asyncio.sleep(max(0.0, started + number / 50 - time.monotonic()))
    for reader in readers:
        reader.reading = False
    await asyncio.gather(*reading)
    assert [reader.torn for reader in readers] == [[], [], []]

    async def settled() -> bool:
        found = await zebras(up, ADMIN)
        return all(f"version {number}." in one["description"] for one in found)

    await up.service.until(settled)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--tools", "/none.yaml"), "tools: no such file or folder, got /none.yaml"),
        (("--tools", "/", "--host", "192.0.2.1"), "--host: with --tools nobody is asked"),
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
