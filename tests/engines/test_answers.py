"""What every engine answers, asked by OpenAI's own client."""

import itertools

import pytest

from .conftest import EVERY, SERVED, Served, engines

PROMPT = "The import statement"
MESSAGES = [{"role": "user", "content": "What does the import statement do?"}]


def complete(engine: Served, **more: object) -> str:
    given = {"model": SERVED, "prompt": PROMPT, "max_tokens": 24, "temperature": 0, **more}
    answer = engine.client.completions.create(**given)
    assert len(answer.choices) == 1
    return str(answer.choices[0].text)


@engines(*EVERY)
def test_the_model_is_listed_by_its_served_name(engine: Served) -> None:
    assert [model.id for model in engine.client.models.list()] == [SERVED]


@engines(*EVERY)
def test_it_is_healthy(engine: Served) -> None:
    assert engine.process.get(engine.adapter.health_path)[0] == 200


def test_a_chat_is_answered_and_counted(engine: Served) -> None:
    answer = engine.client.chat.completions.create(
        model=SERVED, messages=MESSAGES, max_tokens=12, temperature=0
    )
    choice, usage = answer.choices[0], answer.usage
    assert (choice.message.role, choice.finish_reason) == ("assistant", "length")
    assert choice.message.content
    assert usage
    assert usage.completion_tokens == 12
    assert usage.prompt_tokens > 5
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


@pytest.mark.parametrize("tokens", [1, 7, 40])
def test_max_tokens_is_obeyed(engine: Served, tokens: int) -> None:
    answer = engine.client.completions.create(
        model=SERVED, prompt=PROMPT, max_tokens=tokens, temperature=0
    )
    assert answer.usage
    assert answer.usage.completion_tokens == tokens
    assert answer.choices[0].finish_reason == "length"


def test_a_streamed_completion_says_the_same_as_a_whole_one(engine: Served) -> None:
    whole = complete(engine, seed=3)
    stream = engine.client.completions.create(
        model=SERVED, prompt=PROMPT, max_tokens=24, temperature=0, seed=3, stream=True
    )
    parts = [choice.text for chunk in stream for choice in chunk.choices]
    assert len(parts) > 5
    assert "".join(parts) == whole


def test_a_streamed_chat_says_the_same_as_a_whole_one(engine: Served) -> None:
    given = {"model": SERVED, "messages": MESSAGES, "max_tokens": 24, "temperature": 0, "seed": 3}
    whole = engine.client.chat.completions.create(**given)
    chunks = list(engine.client.chat.completions.create(**given, stream=True))
    deltas = [choice for chunk in chunks for choice in chunk.choices]
    text = "".join(choice.delta.content or "" for choice in deltas)
    assert text == whole.choices[0].message.content
    assert [c.finish_reason for c in deltas if c.finish_reason] == ["length"]


def test_usage_in_a_stream_is_claimed_truly(engine: Served) -> None:
    chunks = engine.client.completions.create(
        model=SERVED, prompt=PROMPT, max_tokens=9, temperature=0, stream=True,
        stream_options={"include_usage": True},
    )  # fmt: skip
    usages = [chunk.usage for chunk in chunks if chunk.usage]
    assert bool(usages) == engine.claims("stream_usage")
    assert all(usage.completion_tokens == 9 for usage in usages[-1:])


def test_a_stop_string_ends_the_text_and_is_left_out(engine: Served) -> None:
    whole = complete(engine, max_tokens=40)
    stop = whole[12:15]
    answer = engine.client.completions.create(
        model=SERVED, prompt=PROMPT, max_tokens=40, temperature=0, stop=[stop]
    )
    assert answer.choices[0].text == whole[: whole.index(stop)]
    assert answer.choices[0].finish_reason == "stop"


def test_a_streamed_text_never_shows_the_stop_string(engine: Served) -> None:
    whole = complete(engine, max_tokens=40)
    stop = whole[12:15]
    stream = engine.client.completions.create(
        model=SERVED, prompt=PROMPT, max_tokens=40, temperature=0, stop=[stop], stream=True
    )
    text = "".join(choice.text for chunk in stream for choice in chunk.choices)
    assert text == whole[: whole.index(stop)]


def test_a_seed_that_decides_the_text_is_claimed_truly(engine: Served) -> None:
    hot = {"temperature": 1.0, "max_tokens": 32}
    texts = {seed: {complete(engine, seed=seed, **hot) for _ in range(3)} for seed in range(3)}
    same = all(len(repeated) == 1 for repeated in texts.values())
    different = len(set(itertools.chain(*texts.values()))) > 1
    assert (same and different) == engine.claims("request_seed"), texts


def test_logprobs_are_those_of_the_likeliest_tokens(engine: Served) -> None:
    assert engine.claims("logprobs")
    # llama.cpp's server makes what was said less likely, after the log-probabilities are taken.
    own = {"repeat_penalty": 1.0} if engine.spec.name == "llamacpp" else {}
    answer = engine.client.chat.completions.create(
        model=SERVED, messages=MESSAGES, max_tokens=5, temperature=0, logprobs=True, top_logprobs=3,
        extra_body=own,
    )  # fmt: skip
    told = answer.choices[0].logprobs
    assert told
    assert told.content
    assert len(told.content) == 5
    for token in told.content:
        assert token.logprob <= 0
        best = max(other.logprob for other in token.top_logprobs)
        assert token.logprob == pytest.approx(best, abs=1e-4)
    assert "".join(t.token for t in told.content) == answer.choices[0].message.content
