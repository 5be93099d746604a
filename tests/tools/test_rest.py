"""The running service over REST."""

import asyncio
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from flagscale_workloads.agent.service.settings import parse
from support.tool_service import agent_tool

from .conftest import Running

# A tool of that name need not be there, so a request that fits the document may be refused.
LEFT_OUT = "positive_data_acceptance"

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_request_finds_its_tool_with_all_arms(running: Running) -> None:
    async with running.service.client() as client:
        body = {"query": "will it rain in Rome tomorrow?", "k": 2, "schema_tokens": 1000}
        found = (await client.post("/v1/tools:match", json=body)).json()
    best = found["tools"][0]
    assert (best["namespace"], best["name"], best["server"]) == ("team", "weather", "sky")
    assert best["input_schema"]["required"] == ["city"]
    assert 0 < best["confidence"] <= 1
    assert (found["tier"], found["degraded"], found["abstained"]) == ("transformer", [], False)


async def test_a_hit_tells_an_agent_from_a_tool(running: Running) -> None:
    async with running.service.client() as client:
        body = {"query": "plan a journey", "k": 1, "min_confidence": 0}
        (best,) = (await client.post("/v1/tools:match", json=body)).json()["tools"]
    assert (best["name"], best["kind"]) == ("planner", "agent")


async def test_schemas_are_given_while_they_fit(running: Running) -> None:
    async with running.service.client() as client:
        body = {"query": "add two numbers", "k": 5, "min_confidence": 0, "schema_tokens": 40}
        found = (await client.post("/v1/tools:match", json=body)).json()["tools"]
    assert "input_schema" in found[0]
    assert "input_schema" not in found[-1]


async def test_an_explanation_has_the_share_of_every_arm(running: Running) -> None:
    async with running.service.client() as client:
        answer = await client.post("/v1/tools:explain", json={"query": "sum of 3 and 4"})
    first = answer.json()["considered"][0]
    assert set(first["arms"]) == {"dense", "static", "lexical"}
    assert sum(arm["weight"] for arm in first["arms"].values()) == pytest.approx(1, abs=0.001)


async def test_nothing_fits_and_the_service_says_so(running: Running) -> None:
    async with running.service.client() as client:
        body = {"query": "qwxz vfkj", "min_confidence": 0.9}
        found = (await client.post("/v1/tools:match", json=body)).json()
    assert (found["tools"], found["abstained"]) == ([], True)


async def test_filters_hold_before_the_best_are_chosen(running: Running) -> None:
    assert await running.names("add", k=1, servers=["sky"]) == ["weather"]
    assert await running.names("add", k=1, categories=["weather"]) == ["weather"]
    assert await running.names("add", namespaces=["other"]) == []


async def test_a_tool_is_described_without_its_address(running: Running) -> None:
    async with running.service.client() as client:
        found = (await client.get("/v1/tools/team/weather")).json()
        agent = (await client.get("/v1/tools/team/planner")).json()
        missing = await client.get("/v1/tools/team/none")
    assert found["callable"] is True
    assert running.http_url not in json.dumps(found)
    assert (agent["callable"], agent["agent_url"]) == (True, "https://travel.example.org")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")


async def test_tools_are_listed_in_pages(running: Running) -> None:
    seen: list[str] = []
    async with running.service.client() as client:
        page: dict[str, Any] = {"next_cursor": ""}
        while page["next_cursor"] is not None:
            params = {"limit": 3, "cursor": page["next_cursor"]}
            page = (await client.get("/v1/tools", params=params)).json()
            assert len(page["tools"]) <= 3
            seen += [one["name"] for one in page["tools"]]
        sky = (await client.get("/v1/tools", params={"server": "sky"})).json()
    assert {"add", "planner", "weather", "word-count"} <= set(seen)
    assert len(seen) == len(set(seen))
    assert [one["name"] for one in sky["tools"]] == ["weather"]


async def test_categories_are_counted_and_learned_from_neighbours(running: Running) -> None:
    own = [
        agent_tool(f"soup-{n}", f"Cook a soup of {what}.", category="kitchen")
        for n, what in enumerate(("leek", "onion", "carrot"))
    ]
    running.service.write("soup.yaml", *own, agent_tool("soup-x", "Cook a soup of fish."))

    async def learned() -> bool:
        async with running.service.client() as client:
            found = (await client.get("/v1/categories")).json()["categories"]
        return {"name": "kitchen", "tools": 4} in found

    await running.service.until(learned)
    async with running.service.client() as client:
        assert (await client.get("/v1/tools/team/soup-x")).json()["category"] == "kitchen"
        body = {"query": "fish soup", "k": 1, "categories": ["kitchen"], "min_confidence": 0}
        (best,) = (await client.post("/v1/tools:match", json=body)).json()["tools"]
    assert (best["name"], best["category"]) == ("soup-x", "kitchen")
    running.service.delete("soup.yaml")


async def test_the_page_of_the_service_names_series_and_options_that_there_are(
    running: Running,
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "tool-service.md").read_text()
    await running.names("weather")
    async with running.service.client() as client:
        text = (await client.get("/metrics")).text
    for series in re.findall(r"`(flagscale_tools_\w+)", page):
        assert f"# TYPE {series} " in text
    options = set(re.findall(r"`(--[a-z-]+)`", page))
    assert len(options) >= 7
    for option in options:
        parse([option, "1"] if option != "--allow-loopback" else [option])


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "query: Field required"),
        ({"query": ""}, "query: String should have at least 1"),
        ({"query": "x", "k": 101}, "k: Input should be less than or equal to 100"),
        ({"query": "x", "kk": 1}, "kk: Extra inputs"),
        ({"query": "x" * 5000}, "query: String should have at most 4096"),
        ({"query": "\x00"}, "query: needs at least a word"),
    ],
)
async def test_a_bad_request_is_told_its_field(running: Running, body: object, told: str) -> None:
    async with running.service.client() as client:
        answer = await client.post("/v1/tools:match", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(told)


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("POST", "/v1/tools:match", b"{", 400),
        ("POST", "/v1/tools:match", b'{"query": "' + b"x" * (1 << 20) + b'"}', 413),
        ("GET", "/v1/tools:match", b"", 405),
        ("GET", "/nothing", b"", 404),
        ("GET", "/v1/tools?limit=%C2%B2", b"", 400),
        ("GET", f"/v1/tools?limit={'9' * 5000}", b"", 400),
    ],
)
async def test_what_is_no_request_is_refused_in_words(
    running: Running, method: str, path: str, content: bytes, status: int
) -> None:
    async with running.service.client() as client:
        answer = await client.request(method, path, content=content)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "headers",
    [{"host": "evil.example.org"}, {"origin": "https://evil.example.org"}, {"origin": "null"}],
)
@pytest.mark.parametrize("path", ["/v1/tools/team/weather:call", "/mcp"])
async def test_a_web_page_does_not_get_in(
    running: Running, path: str, headers: dict[str, str]
) -> None:
    before = len(running.seen.requests)
    async with running.service.client(headers=headers) as client:
        answer = await client.post(path, json={"arguments": {"city": "Rome"}})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden_origin")
    assert len(running.seen.requests) == before


async def test_a_body_that_does_not_come_is_not_waited_for(running: Running) -> None:
    host, port = running.service.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /v1/tools:match HTTP/1.1\r\nhost: {host}\r\ncontent-length: 5\r\n\r\n"
    writer.write(head.encode() + b"{")
    async with asyncio.timeout(20):
        answer = await reader.read(4096)
    assert answer.startswith(b"HTTP/1.1 408")
    writer.close()
    await writer.wait_closed()


async def test_the_openapi_document_is_valid_and_names_every_path(running: Running) -> None:
    async with running.service.client() as client:
        document = (await client.get("/openapi.json")).json()
    assert "/v1/tools/{namespace}/{name}:call" in document["paths"]
    schema = document["paths"]["/v1/tools:match"]["post"]["requestBody"]
    assert schema["content"]["application/json"]["schema"]["required"] == ["query"]


async def test_metrics_tell_tiers_arms_and_operations(running: Running) -> None:
    await running.names("weather")
    async with running.service.client() as client:
        text = (await client.get("/metrics")).text
    for series in (
        'flagscale_tools_matches_total{tier="transformer"}',
        'flagscale_tools_arm_up{arm="dense"} 1.0',
        'flagscale_tools_requests_total{code="ok",operation="match"}',
        "flagscale_tools_indexed ",
    ):
        assert series in text


async def test_the_operator_gets_the_index_and_nothing_when_it_is_the_same(
    running: Running,
) -> None:
    async with running.service.client() as client:
        first = await client.get("/v1/index")
        again = await client.get("/v1/index", headers={"if-none-match": first.headers["etag"]})
    assert "tools" in first.json()
    assert again.status_code == 304


async def test_generated_requests_get_the_answers_that_the_document_promises(
    running: Running,
) -> None:
    """Statuses, content types and schemas, for valid and invalid data."""
    process = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).parent / "schemathesis"), "run"),
        f"{running.service.url}/openapi.json",
        *("--max-examples", os.environ.get("FUZZ_EXAMPLES", "15")),
        *("--seed", "1", "--no-color", "--exclude-checks", LEFT_OUT),
        cwd=running.service.folder.parent,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
