"""Runs in a pod: an agent that asks the matcher by MCP, with the token of its service account.

agent.py COMMAND [JSON]: prints one JSON document.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

URL = "http://flagscale-matcher.flagscale-system.svc"
SEARCHES_PER_S = 60.0  # below the matcher's limit of 100 a second for one caller
WORKERS = 4


def http() -> httpx2.AsyncClient:
    token = Path("/token/token").read_text().strip()
    headers = {"authorization": f"Bearer {token}"}
    return httpx2.AsyncClient(base_url=URL, headers=headers, timeout=30)


async def ask(tool: str, arguments: Any) -> Any:
    """One call of one of the matcher's own tools."""
    async with http() as client:
        streams = streamable_http_client(f"{URL}/mcp", http_client=client)
        async with Client(streams) as mcp:
            result = await mcp.call_tool(tool, arguments)
    text = "".join(block.text for block in result.content if block.type == "text")
    return {"is_error": result.is_error, "text": text, "structured": result.structured_content}


async def until_gone(asked: Any) -> Any:
    """When a tool that was found is no longer among the hits, in seconds since 1970."""
    found = False
    async with http() as client:
        while True:
            body = {"query": asked["query"], "k": 20, "min_confidence": 0}
            answer = await client.post("/v1/tools:match", json=body)
            there = asked["name"] in [one["name"] for one in answer.json()["tools"]]
            if found and not there:
                return {"at": time.time()}
            if there and not found:
                found = True
                print("begun", file=sys.stderr, flush=True)
            await asyncio.sleep(0.02)


async def load(asked: Any) -> Any:
    """Searches at SEARCHES_PER_S, each with words of its own: answers by tier, and failures."""
    tiers: Counter[str] = Counter()
    failed: list[str] = []
    begin = time.monotonic()

    async def search(worker: int) -> None:
        async with http() as client:
            for number in range(worker, int(asked["seconds"] * SEARCHES_PER_S), WORKERS):
                await asyncio.sleep(begin + number / SEARCHES_PER_S - time.monotonic())
                body = {"query": f"helper {worker} for job {number}", "min_confidence": 0}
                answer = await client.post("/v1/tools:match", json=body)
                if answer.status_code == 200 and answer.json()["tools"]:
                    tiers[answer.json()["tier"]] += 1
                else:
                    failed.append(answer.text[:200])

    print("begun", file=sys.stderr, flush=True)
    await asyncio.gather(*(search(worker) for worker in range(WORKERS)))
    return {"tiers": dict(tiers), "failed": failed}


async def post(asked: Any) -> Any:
    """One request by REST: status and answer."""
    async with http() as client:
        answer = await client.post(asked["path"], json=asked["body"])
    return {"status": answer.status_code, "answer": answer.json()}


async def watch(asked: Any) -> Any:
    """Searches for some tools until all have a version: what was seen, and what was torn.

    An answer is torn that lacks one of them, or has one in an older version than an answer before.
    """
    newest = dict.fromkeys(asked["names"], 0)
    torn: list[Any] = []
    seen: set[int] = set()
    body = {**asked["body"], "min_confidence": 0}
    print("begun", file=sys.stderr, flush=True)
    async with http() as client:
        while min(newest.values()) < asked["until"]:
            found = (await client.post("/v1/tools:match", json=body)).json().get("tools", ())
            now = {one["name"]: int(one["description"].rsplit(" ", 1)[1]) for one in found}
            whole = len(found) == len(newest) and now.keys() == newest.keys()
            if not whole or any(now[name] < newest[name] for name in newest):
                torn.append(found)
            newest |= now
            seen |= set(now.values())
            await asyncio.sleep(1 / SEARCHES_PER_S)
    return {"versions": len(seen), "torn": torn[:3]}


async def main(command: str, arguments: Any) -> None:
    commands = {"until-gone": until_gone, "load": load, "post": post, "watch": watch}
    if command in commands:
        answer = await commands[command](arguments)
    else:
        answer = await ask(command, arguments)
    print(json.dumps(answer))


asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))
