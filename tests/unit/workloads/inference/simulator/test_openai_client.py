import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from support.simulator import MODEL, SimulatorProcess

USER: Any = [{"role": "user", "content": "Weather in Paris?"}]
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS: Any = [{"type": "function", "function": {"name": "weather", "parameters": CITY}}]


@pytest.fixture(scope="module")
def client(healthy: SimulatorProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{healthy.url}/v1", api_key="none", max_retries=0) as one:
        yield one


def test_a_chat_is_answered(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL, messages=USER, max_tokens=5, logprobs=True, top_logprobs=2
    )
    choice = answer.choices[0]
    assert choice.message.content
    assert choice.finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 5
    assert choice.logprobs is not None
    assert [len(entry.top_logprobs) for entry in choice.logprobs.content or []] == [2] * 5


def test_a_stream_gives_the_same_text_and_its_usage(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model=MODEL, messages=USER, seed=3)
    with client.chat.completions.create(
        model=MODEL, messages=USER, seed=3, stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage is not None
    assert whole.usage is not None
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens


def test_a_tool_is_called_with_arguments_in_pieces(client: openai.OpenAI) -> None:
    with client.chat.completions.create(
        model=MODEL, messages=USER, tools=TOOLS, tool_choice="required", stream=True
    ) as stream:
        calls = [c.choices[0].delta.tool_calls for c in stream if c.choices[0].delta.tool_calls]
    functions = [call.function for part in calls for call in part or [] if call.function]
    assert functions[0].name == "weather"
    assert len(functions) > 2
    assert set(json.loads("".join(f.arguments or "" for f in functions))) == {"city"}


def test_an_answer_keeps_to_a_json_schema(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL,
        messages=USER,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "city", "schema": CITY, "strict": True},
        },
    )
    assert set(json.loads(answer.choices[0].message.content or "")) == {"city"}


def test_completions_and_models_are_there(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == [MODEL]
    answer = client.completions.create(model=MODEL, prompt="Once", max_tokens=3, logprobs=1)
    assert answer.choices[0].text
    assert answer.choices[0].logprobs is not None
    assert len(answer.choices[0].logprobs.tokens or []) == 3


def test_texts_with_common_words_have_near_vectors(client: openai.OpenAI) -> None:
    texts = ["the red fox", "a red fox", "monthly tax return"]
    data = client.embeddings.create(model=MODEL, input=texts).data
    one, near, far = (entry.embedding for entry in data)

    def cosine(other: list[float]) -> float:
        return sum(a * b for a, b in zip(one, other, strict=True))

    assert cosine(one) == pytest.approx(1, abs=1e-5)
    assert cosine(near) > cosine(far)


def test_errors_have_the_form_that_the_client_reads(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="use tiny") as unknown:
        client.chat.completions.create(model="other", messages=USER)
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError, match="longer than the context") as long:
        client.completions.create(model=MODEL, prompt="word " * 40_000)
    assert (long.value.param, long.value.code) == ("prompt", "context_length_exceeded")
    schema: Any = {"name": "x", "schema": {"type": "string", "pattern": "a"}}
    form: Any = {"type": "json_schema", "json_schema": schema}
    with pytest.raises(openai.BadRequestError, match="pattern"):
        client.chat.completions.create(model=MODEL, messages=USER, response_format=form)
