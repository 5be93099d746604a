"""Tool calls and JSON by schema."""

import json
from typing import Any

import openai
import pytest

from .conftest import SERVED, Served

CITIES = ["Paris", "Berlin", "Rome"]
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"enum": CITIES}, "metric": {"type": "boolean"}},
    "required": ["city", "metric"],
    "additionalProperties": False,
}
MESSAGES = [{"role": "user", "content": "How warm is it?"}]
TOOL = {
    "type": "function",
    "function": {"name": "weather", "parameters": SCHEMA, "strict": True},
}
# Several calls of a named tool are allowed unless a request says one: SGLang's grammar then lets
# a model of this size begin a next call forever.
ONE_CALL: dict[str, Any] = {
    "tools": [TOOL],
    "tool_choice": {"type": "function", "function": {"name": "weather"}},
    "parallel_tool_calls": False,
}


def assert_fits(text: str) -> None:
    data = json.loads(text)
    assert set(data) == {"city", "metric"}
    assert data["city"] in CITIES
    assert isinstance(data["metric"], bool)


def test_calling_a_named_tool_is_claimed_truly(engine: Served) -> None:
    def ask() -> Any:
        return engine.client.chat.completions.create(
            model=SERVED, messages=MESSAGES, max_tokens=120, temperature=0, **ONE_CALL
        )

    if not engine.claims("tool_calls"):
        with pytest.raises(openai.APIStatusError):
            ask()
        return
    calls = ask().choices[0].message.tool_calls
    assert [call.function.name for call in calls] == ["weather"]
    assert_fits(calls[0].function.arguments)


def test_json_by_schema_is_claimed_truly(engine: Served) -> None:
    given = {"name": "answer", "schema": SCHEMA, "strict": True}

    def ask() -> Any:
        return engine.client.chat.completions.create(
            model=SERVED, messages=MESSAGES, max_tokens=120, temperature=0,
            response_format={"type": "json_schema", "json_schema": given},
        )  # fmt: skip

    if not engine.claims("json_schema"):
        with pytest.raises(openai.APIStatusError):
            ask()
        return
    assert_fits(ask().choices[0].message.content)


def test_the_responses_api_is_claimed_truly(engine: Served) -> None:
    def ask() -> Any:
        return engine.client.responses.create(
            model=SERVED, input="What is import?", max_output_tokens=16, temperature=0, store=False
        )

    if not engine.claims("responses"):
        with pytest.raises(openai.APIStatusError):
            ask()
        return
    assert ask().output_text
