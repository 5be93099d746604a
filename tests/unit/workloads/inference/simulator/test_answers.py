import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagscale_workloads.inference.simulator.answers import Answer, Author
from flagscale_workloads.inference.simulator.api_error import ApiError
from flagscale_workloads.inference.simulator.chat import ChatForm, chat_prompt
from flagscale_workloads.inference.simulator.forms import Head, Usage
from flagscale_workloads.inference.simulator.requests import ChatRequest, parse

AUTHOR = Author(model="m", seed=0, natural_tokens=40)
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string", "minLength": 3}, "days": {"type": "integer"}},
    "required": ["city", "days"],
}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}}]


def request(content: str = "Hello", **fields: Any) -> ChatRequest:
    body = {"model": "m", "messages": [{"role": "user", "content": content}], **fields}
    return parse(ChatRequest, json.dumps(body).encode())


def answer(content: str = "Hello", *, room: int = 1000, **fields: Any) -> Answer:
    call = request(content, **fields)
    return AUTHOR.chat(call, chat_prompt(call), room=room)


def test_the_same_request_gives_the_same_text() -> None:
    assert answer(seed=5) == answer(seed=5)
    assert answer() == answer(seed=0)


def test_seed_and_prompt_change_the_text() -> None:
    texts = {answer(text, seed=seed).text for text in ("one", "two") for seed in (1, 2)}
    assert len(texts) == 4


def test_at_temperature_0_the_seed_does_not_matter() -> None:
    assert answer(seed=1, temperature=0) == answer(seed=2, temperature=0)


def test_a_shorter_answer_is_the_beginning_of_a_longer_one() -> None:
    short, whole = answer(max_tokens=7), answer()
    assert (len(short.pieces), short.finish) == (7, "length")
    assert (len(whole.pieces), whole.finish) == (40, "stop")
    assert whole.text.startswith(short.text)


def test_ignore_eos_goes_on_to_the_limit() -> None:
    assert len(answer(max_completion_tokens=200, ignore_eos=True).pieces) == 200
    assert len(answer(max_completion_tokens=200).pieces) == 40


def test_the_answer_ends_where_the_context_does() -> None:
    assert (len(answer(room=5).pieces), answer(room=5).finish) == (5, "length")


@given(st.integers(0, 200), st.integers(1, 12), st.integers(1, 40))
def test_a_stop_string_ends_the_text_right_before_it(at: int, length: int, limit: int) -> None:
    free = answer(max_tokens=limit)
    stop = free.text[at : at + length]
    if not stop:
        return
    stopped = answer(max_tokens=limit, stop=[stop, "never"])
    assert stopped.text == free.text[: free.text.index(stop)]
    assert stopped.finish == "stop"
    assert len(stopped.pieces) <= len(free.pieces)


@pytest.mark.parametrize(
    ("fields", "tool"),
    [
        ({}, "weather"),
        ({"tool_choice": "required"}, "weather"),
        ({"tool_choice": {"type": "function", "function": {"name": "weather"}}}, "weather"),
        ({"tool_choice": "none"}, None),
    ],
)
def test_a_tool_is_called_unless_told_otherwise(fields: dict[str, Any], tool: str | None) -> None:
    given_answer = answer(tools=TOOLS, **fields)
    assert given_answer.tool == tool
    if tool:
        assert given_answer.finish == "tool_calls"
        jsonschema.validate(json.loads(given_answer.text), PARAMETERS)


def test_after_a_tool_has_answered_text_follows() -> None:
    turns = [{"role": "user", "content": "?"}, {"role": "tool", "content": "sun"}]
    assert answer(tools=TOOLS, messages=turns).tool is None


def test_the_answer_follows_the_schema_that_was_asked_for() -> None:
    named = {"name": "plan", "schema": PARAMETERS}
    text = answer(response_format={"type": "json_schema", "json_schema": named}).text
    jsonschema.validate(json.loads(text), PARAMETERS)


def test_a_schema_outside_the_subset_is_a_bad_request() -> None:
    named = {"name": "plan", "schema": {"type": "string", "pattern": "x"}}
    with pytest.raises(ApiError, match="pattern") as raised:
        answer(response_format={"type": "json_schema", "json_schema": named})
    assert (raised.value.status, raised.value.param) == (400, "response_format")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"n": 2}, "n"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "king", "content": ""}]}, "messages.0.role"),
        ({"stop": [""]}, "stop"),
    ],
)
def test_a_field_that_is_wrong_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError) as raised:
        request(**fields)
    assert raised.value.status == 400
    assert str(raised.value.param).startswith(param)


def test_unknown_fields_are_ignored() -> None:
    assert answer(user="me", cache_salt="x") == answer()


@given(tools=st.booleans(), limit=st.integers(1, 40), logprobs=st.booleans())
def test_a_stream_adds_up_to_the_whole(*, tools: bool, limit: int, logprobs: bool) -> None:
    call = request(tools=TOOLS if tools else [], max_tokens=limit, logprobs=logprobs)
    form = ChatForm(Head("id", "m", 0), AUTHOR.chat(call, chat_prompt(call), room=100), call)
    chunks = [*form.opening(), *map(form.piece, range(len(form.answer.pieces))), form.closing()]
    choices = [chunk["choices"][0] for chunk in chunks if chunk]
    whole = form.whole(Usage(1, 0, limit))["choices"][0]
    if tools:
        calls = [part["delta"]["tool_calls"][0] for part in choices[:-1]]
        told = "".join(one["function"]["arguments"] for one in calls)
        assert told == whole["message"]["tool_calls"][0]["function"]["arguments"]
    else:
        assert (
            "".join(c["delta"].get("content", "") for c in choices) == whole["message"]["content"]
        )
    if logprobs and not tools:
        told_logprobs = [e for c in choices if c["logprobs"] for e in c["logprobs"]["content"]]
        assert told_logprobs == whole["logprobs"]["content"]
    assert choices[-1]["finish_reason"] == whole["finish_reason"]
