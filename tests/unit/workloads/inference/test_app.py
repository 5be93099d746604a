import asyncio
import io
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
import uvicorn

from flagscale_workloads.inference.app import MAX_BODY_BYTES, EngineApp
from flagscale_workloads.inference.engine import InferenceEngine
from flagscale_workloads.inference.folder import Settings
from flagscale_workloads.inference.jobs import GenerationInput
from flagscale_workloads.inference.protocol import CompletionRequest

from .conftest import NAME

Start = Callable[..., InferenceEngine]
HI: Any = [{"role": "user", "content": "hi"}]
IGNORE_EOS = {"ignore_eos": True}


@dataclass
class Door:
    """A server in the test's own event loop, and two clients of it."""

    app: EngineApp
    url: str
    openai: openai.AsyncOpenAI
    http: aiohttp.ClientSession

    async def metric(self, name: str) -> float:
        async with self.http.get("/metrics") as response:
            lines = (await response.text()).splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


@asynccontextmanager
async def opened(engine: InferenceEngine) -> AsyncIterator[Door]:
    app = EngineApp(engine)
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(app.application(), log_config=None, lifespan="off"))
    # Only serve() would install signal handlers.
    serving = asyncio.create_task(server._serve(sockets=[listener]))
    client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
    try:
        async with client, aiohttp.ClientSession(base_url=url) as http:
            yield Door(app, url, client, http)
    finally:
        server.should_exit = True
        await serving


async def test_chat_whole_and_streamed_say_the_same(start: Start, llama: Path) -> None:
    async with opened(start(llama)) as door:
        create = door.openai.chat.completions.create
        about: Any = {"model": NAME, "messages": HI, "temperature": 0, "max_completion_tokens": 12,
                      "logprobs": True, "extra_body": IGNORE_EOS}  # fmt: skip
        whole = await create(**about)
        stream = await create(**about, stream=True, stream_options={"include_usage": True})
        chunks = [chunk async for chunk in stream]
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    logprobs = [one for c in chunks if c.choices and c.choices[0].logprobs
                for one in c.choices[0].logprobs.content or []]  # fmt: skip
    assert [one.token for one in logprobs] == [
        one.token for one in whole.choices[0].logprobs.content
    ]
    assert chunks[-2].choices[0].finish_reason == whole.choices[0].finish_reason == "length"
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    assert whole.usage.completion_tokens == 12


async def test_completions_take_text_and_tokens(start: Start, llama: Path) -> None:
    async with opened(start(llama)) as door:
        about: Any = {"model": NAME, "temperature": 0, "logprobs": 2, "extra_body": IGNORE_EOS}
        text = await door.openai.completions.create(prompt="The fox", **about)
        given = door.app.engine.process_input(CompletionRequest(model=NAME, prompt="The fox"))
        assert isinstance(given, GenerationInput)
        same = await door.openai.completions.create(prompt=list(given.tokens), **about)
        stream = await door.openai.completions.create(prompt="The fox", stream=True, **about)
        streamed = "".join([chunk.choices[0].text async for chunk in stream])
    assert text.choices[0].text == same.choices[0].text == streamed
    assert text.usage is not None
    assert text.usage.completion_tokens == 16
    logprobs = text.choices[0].logprobs
    assert logprobs is not None
    assert len(logprobs.tokens or []) == len(logprobs.top_logprobs or []) == 16


async def test_concurrent_requests_get_what_each_would_get_alone(start: Start, llama: Path) -> None:
    async with opened(start(llama)) as door:

        async def ask(n: int) -> str:
            done = await door.openai.completions.create(
                model=NAME, prompt=f"number {n}", max_tokens=20 + n, temperature=0.8, seed=n,
                extra_body=IGNORE_EOS,
            )  # fmt: skip
            return done.choices[0].text

        together = await asyncio.gather(*(ask(n) for n in range(12)))
        assert together == [await ask(n) for n in range(12)]


async def test_a_client_that_leaves_frees_its_place(start: Start, llama: Path) -> None:
    body = {"model": NAME, "prompt": "a", "max_tokens": 250, "ignore_eos": True}
    async with opened(start(llama, max_batch=1)) as door:
        for stream in (True, False):
            asking = asyncio.create_task(_ask(door, {**body, "stream": stream}))
            async with asyncio.timeout(10):
                while not await door.metric("flagscale_engine_running"):
                    pass
                asking.cancel()
                while await door.metric("flagscale_engine_running"):
                    pass
        assert await door.metric("flagscale_engine_generated_tokens_total") < 500
        assert door.app.open.count == 0


async def _ask(door: Door, body: Any) -> tuple[int, Any, Any]:
    async with door.http.post("/v1/completions", json=body) as response:
        return response.status, await response.text(), response.headers


@pytest.mark.parametrize(
    ("method", "path", "data", "status", "code"),
    [
        ("POST", "/v1/completions", b"{", 400, "invalid_json"),
        ("POST", "/v1/completions", b'{"model": "tiny"}', 400, "invalid_value"),
        ("POST", "/v1/completions", b'{"model": "x", "prompt": "a"}', 404, "model_not_found"),
        ("POST", "/v1/completions", b" " * (MAX_BODY_BYTES + 1), 413, "request_too_large"),
        ("POST", "/v1/images/generations", b'{"model": "tiny", "prompt": "a"}', 404,
         "unsupported_endpoint"),
        ("POST", "/v1/other", b"{}", 404, "unknown_endpoint"),
        ("GET", "/v1/completions", b"", 405, "unknown_endpoint"),
    ],
)  # fmt: skip
async def test_errors_have_openais_form(
    start: Start, llama: Path, method: str, path: str, data: bytes, status: int, code: str
) -> None:
    async with (
        opened(start(llama)) as door,
        door.http.request(method, path, data=io.BytesIO(data)) as response,
    ):
        error = (await response.json())["error"]
    assert (response.status, error["code"]) == (status, code)
    assert set(error) == {"message", "type", "param", "code"}


class BrokenEngine(InferenceEngine):
    """An engine with a mistake after the model."""

    def process_output(self, *_: object) -> dict[str, Any]:
        raise ZeroDivisionError("secret")


async def test_no_traceback_reaches_a_client(llama: Path, caplog: pytest.LogCaptureFixture) -> None:
    engine = BrokenEngine(Settings("transformers", llama, NAME))
    engine.load()
    async with opened(engine) as door:
        status, text, _ = await _ask(door, {"model": NAME, "prompt": "a"})
    engine.close()
    assert status == 500
    assert json.loads(text)["error"]["code"] == "internal_error"
    assert "secret" not in text
    assert "secret" in caplog.text


async def test_health_needs_a_forward_pass_and_ends_with_the_drain(llama: Path) -> None:
    engine = InferenceEngine(Settings("transformers", llama, NAME))
    async with opened(engine) as door:

        async def health() -> int:
            async with door.http.get("/health") as response:
                return response.status

        assert await health() == 503
        status, _, headers = await _ask(door, {"model": NAME, "prompt": "a"})
        assert (status, headers["Retry-After"]) == (503, "1")
        await asyncio.to_thread(engine.load)
        assert await health() == 200
        models = await door.openai.models.list()
        assert [model.id for model in models.data] == [NAME]
        door.app.draining = True
        assert await health() == 503
        assert (await _ask(door, {"model": NAME, "prompt": "a"}))[0] == 503
    engine.close()


async def test_other_models_answer_their_own_endpoints(
    start: Start, bert: Path, pipeline: Path
) -> None:
    async with opened(start(bert)) as door:
        vectors = await door.openai.embeddings.create(model=NAME, input=["the fox", "the dog"])
        assert [len(item.embedding) for item in vectors.data] == [16, 16]
        with pytest.raises(openai.NotFoundError):
            await door.openai.completions.create(model=NAME, prompt="a")
    async with opened(start(pipeline, loader="diffusers")) as door:
        images = await door.openai.images.generate(
            model=NAME, prompt="a fox", n=2, response_format="b64_json",
            extra_body={"seed": 1, "steps": 2},
        )  # fmt: skip
        assert len(images.data or []) == 2
