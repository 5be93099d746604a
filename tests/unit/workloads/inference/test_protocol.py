import json
from typing import Any

import pytest

from flagscale_workloads.inference.errors import RequestError
from flagscale_workloads.inference.protocol import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    ImageRequest,
    Request,
    parse,
)

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
PROMPT = {"model": "m", "prompt": "hi"}
INPUT = {"model": "m", "input": "hi"}
IMAGE = {"model": "m", "prompt": "a fox"}


def refusal(kind: type[Request], body: Any) -> RequestError:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(RequestError) as error:
        parse(kind, data)
    assert error.value.status == 400
    return error.value


@pytest.mark.parametrize(
    ("kind", "body", "param"),
    [
        (ChatRequest, {**CHAT, "n": 2}, "n"),
        (ChatRequest, {**CHAT, "temperature": -1}, "temperature"),
        (ChatRequest, {**CHAT, "tools": []}, "tools"),
        (ChatRequest, {**CHAT, "messages": []}, "messages"),
        (ChatRequest, {**CHAT, "stop": ["a", "b", "c", "d", "e"]}, "stop"),
        (ChatRequest, {**CHAT, "response_format": {"type": "grammar"}}, "response_format"),
        (CompletionRequest, {**PROMPT, "prompt": ["a", "b"]}, "prompt"),
        (CompletionRequest, {**PROMPT, "prompt": [-1]}, "prompt"),
        (CompletionRequest, {**PROMPT, "max_tokens": 0}, "max_tokens"),
        (EmbeddingRequest, {**INPUT, "input": []}, "input"),
        (EmbeddingRequest, {**INPUT, "dimensions": 4}, "dimensions"),
        (ImageRequest, {**IMAGE, "n": 11}, "n"),
        (ImageRequest, {**IMAGE, "size": "0x8"}, "size"),
        (ImageRequest, {**IMAGE, "response_format": "url"}, "response_format"),
    ],
)
def test_what_is_not_honoured_is_refused_by_name(
    kind: type[Request], body: dict[str, Any], param: str
) -> None:
    error = refusal(kind, body)
    assert str(error.param).split(".")[0] == param
    assert str(error).startswith(param)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b'{"model": "m"}'])
def test_any_other_body_is_refused(body: bytes) -> None:
    assert refusal(ChatRequest, body).as_json()["error"]["type"] == "invalid_request_error"


def test_what_openai_takes_for_nothing_is_taken() -> None:
    chat = parse(ChatRequest, json.dumps({**CHAT, "n": 1, "stop": None, "user": "u"}).encode())
    assert chat.stop_texts == ()
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    message = {"role": "user", "content": parts}
    chat = parse(ChatRequest, json.dumps({**CHAT, "messages": [message]}).encode())
    assert chat.messages[0].text == "ab"


def test_inputs_are_texts_or_tokens_one_or_many() -> None:
    for given, count in (("a", 1), ([1, 2], 1), (["a", "b"], 2), ([[1], [2], [3]], 3)):
        request = parse(EmbeddingRequest, json.dumps({**INPUT, "input": given}).encode())
        assert len(request.inputs) == count
