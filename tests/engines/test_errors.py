"""What engines say to requests that are wrong."""

import http.client
from urllib.parse import urlsplit

import openai
import pytest

from .conftest import CONTEXT, EVERY, SERVED, Served, engines


def status_of(engine: Served, body: bytes, path: str = "/v1/chat/completions") -> int:
    connection = http.client.HTTPConnection(urlsplit(engine.process.url).netloc, timeout=60)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", path, body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


@engines(*EVERY)
def test_refusing_an_unknown_model_is_claimed_truly(engine: Served) -> None:
    path, body = engine.smallest
    other = body.replace(SERVED.encode(), b"other")
    assert (status_of(engine, other, path) == 404) == engine.claims("unknown_model")


@engines(*EVERY)
def test_refusing_a_malformed_body_is_claimed_truly(engine: Served) -> None:
    path, _ = engine.smallest
    refused = 400 <= status_of(engine, b'{"model": "tiny", ', path) < 500
    assert refused == engine.claims("malformed_body")


def test_a_body_without_messages_is_refused_or_answered_but_never_breaks(engine: Served) -> None:
    status_of(engine, b'{"model": "tiny"}')
    answer = engine.client.completions.create(model=SERVED, prompt="The", max_tokens=1)
    assert answer.choices


def test_a_prompt_beyond_the_context_is_refused_with_400(engine: Served) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        engine.client.completions.create(model=SERVED, prompt="import " * CONTEXT, max_tokens=4)
    assert str(CONTEXT) in str(raised.value)


def test_a_prompt_that_fills_the_context_is_answered(engine: Served) -> None:
    """The context of a request is what was asked for, not a share of it."""
    answer = engine.client.completions.create(
        model=SERVED, prompt="import " * 700, max_tokens=CONTEXT // 4, temperature=0
    )
    assert answer.usage
    assert answer.usage.completion_tokens == CONTEXT // 4
    assert answer.usage.total_tokens > CONTEXT // 2
