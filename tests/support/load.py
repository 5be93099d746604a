"""Open-loop load: requests leave when they are due, whether or not others were answered.

Every request gets a record, whatever became of it; a loss can't hide.
Needs nothing of ours: it is also sent into pods as it stands.
"""

import asyncio
import itertools
import json
import math
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import aiohttp

Ending = Literal["done", "error_event", "truncated", "refused", "failed", "cancelled"]
"""done: whole JSON, or a stream with [DONE]; error_event: a stream that told of its error;
truncated: a stream or body without its end; refused: a status from 400 on; failed: no answer;
cancelled: by this driver."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent."""

    rate_per_s: float
    duration_s: float
    model: str
    arrivals: Literal["poisson", "constant"] = "poisson"
    stream: bool = True
    max_tokens: int = 32
    prompt_words: int = 32
    """Words of a prompt that it shares with no other."""
    prefixes: int = 0
    """Different beginnings that prompts share in turn; 0: none."""
    prefix_words: int = 512
    cancel_share: float = 0.0
    cancel_after_s: float = 0.05
    timeout_s: float = 60.0
    seed: int = 0
    path: str = "/v1/chat/completions"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of each request."""


@dataclass(frozen=True, slots=True)
class Record:
    """One request; times in seconds from when it left."""

    number: int
    due_s: float
    """Seconds after the start of the load."""
    late_s: float
    """How much later than due it left: beyond some ms the driver itself was too slow."""
    ending: Ending
    total_s: float
    status: int | None = None
    error: str = ""
    first_byte_s: float | None = None
    """First byte of the body."""
    tokens: int = 0
    """By the usage if there is one, else one per event with text."""


def arrival_times(load: Load) -> list[float]:
    """Seconds after the start at which requests leave; the same for the same seed."""
    draw = random.Random(load.seed)
    times: list[float] = []
    now = 0.0
    while True:
        poisson = load.arrivals == "poisson"
        now += draw.expovariate(load.rate_per_s) if poisson else 1 / load.rate_per_s
        if now > load.duration_s + 1e-9:
            return times
        times.append(now)


def prompts(load: Load) -> Iterator[str]:
    """Prompts without an end: shared beginnings in turn, then words of their own."""
    draw = random.Random(load.seed + 1)
    shared = [_words(draw, load.prefix_words) for _ in range(load.prefixes)] or [""]
    for number in itertools.count():
        yield f"{shared[number % len(shared)]} {_words(draw, load.prompt_words)}".strip()


async def drive(base_url: str, load: Load) -> list[Record]:
    """Send the load and wait for all answers; one record per request, in order."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=load.timeout_s)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        base_url, connector=connector, timeout=timeout, headers=load.headers
    ) as session:
        start = time.monotonic()
        async with asyncio.TaskGroup() as group:
            tasks = []
            for number, (due, prompt) in enumerate(
                zip(arrival_times(load), prompts(load), strict=False)
            ):
                await asyncio.sleep(max(0.0, start + due - time.monotonic()))
                request = _Request(session, load, number, due, time.monotonic() - start - due)
                tasks.append(group.create_task(request.send(prompt)))
    return [task.result() for task in tasks]


class _Request:
    """One request under way."""

    def __init__(
        self, session: aiohttp.ClientSession, load: Load, number: int, due_s: float, late_s: float
    ) -> None:
        self._session = session
        self._load = load
        self._place = {"number": number, "due_s": due_s, "late_s": late_s}
        share = load.cancel_share
        self._cancelled = math.floor((number + 1) * share) > math.floor(number * share)
        self._status: int | None = None
        self._first_byte_s: float | None = None
        self._tokens = 0

    async def send(self, prompt: str) -> Record:
        """Send it and read all of the answer."""
        self._left = time.monotonic()
        limit = self._load.cancel_after_s if self._cancelled else self._load.timeout_s
        ending: Ending = "failed"
        error = ""
        try:
            async with asyncio.timeout(limit):
                ending, error = await self._exchange(prompt)
        except TimeoutError:
            ending = "cancelled" if self._cancelled else "failed"
            error = "" if self._cancelled else f"no end within {limit:g} s"
        except (aiohttp.ClientError, OSError) as failure:
            # A body had begun: the client has seen part of an answer.
            ending = "failed" if self._first_byte_s is None else "truncated"
            error = f"{type(failure).__name__}: {failure}"
        return Record(
            **self._place,  # type: ignore[arg-type]
            ending=ending,
            total_s=time.monotonic() - self._left,
            status=self._status,
            error=error,
            first_byte_s=self._first_byte_s,
            tokens=self._tokens,
        )

    async def _exchange(self, prompt: str) -> tuple[Ending, str]:
        async with self._session.post(self._load.path, json=_body(self._load, prompt)) as response:
            self._status = response.status
            if response.status >= 400:
                return "refused", (await response.text())[:300]
            events = response.content_type == "text/event-stream"
            return await (self._stream(response) if events else self._whole(response))

    async def _whole(self, response: aiohttp.ClientResponse) -> tuple[Ending, str]:
        content = b""
        async for data in response.content.iter_any():
            self._begun()
            content += data
        try:
            body = json.loads(content)
        except ValueError:
            return "truncated", "body is not JSON"
        self._tokens = (body.get("usage") or {}).get("completion_tokens", 0)
        return "done", ""

    async def _stream(self, response: aiohttp.ClientResponse) -> tuple[Ending, str]:
        counted = None
        async for line in response.content:
            self._begun()
            data = line.removeprefix(b"data:").strip() if line.startswith(b"data:") else b""
            if data == b"[DONE]":
                self._tokens = self._tokens if counted is None else counted
                return "done", ""
            if not data:
                continue
            event = json.loads(data)
            if "error" in event:
                return "error_event", json.dumps(event["error"])[:300]
            self._tokens += _has_token(event)
            counted = (event.get("usage") or {}).get("completion_tokens", counted)
        return "truncated", "no [DONE]"

    def _begun(self) -> None:
        if self._first_byte_s is None:
            self._first_byte_s = time.monotonic() - self._left


def _body(load: Load, prompt: str) -> dict[str, Any]:
    chat = load.path.endswith("chat/completions")
    text = {"messages": [{"role": "user", "content": prompt}]} if chat else {"prompt": prompt}
    body = {"model": load.model, "max_tokens": load.max_tokens, "stream": load.stream, **text}
    if load.stream:
        body["stream_options"] = {"include_usage": True}
    return {**body, **load.body}


def _has_token(event: Mapping[str, Any]) -> bool:
    choice = (event.get("choices") or [{}])[0]
    delta = choice.get("delta") or {}
    return bool(choice.get("text") or delta.get("content") or delta.get("tool_calls"))


def _words(draw: random.Random, count: int) -> str:
    return " ".join(f"w{draw.randrange(10_000)}" for _ in range(count))
