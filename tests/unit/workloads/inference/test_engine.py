import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flagscale_workloads.inference.engine import InferenceEngine
from flagscale_workloads.inference.errors import LoadError, RequestError
from flagscale_workloads.inference.folder import Settings
from flagscale_workloads.inference.jobs import Event, GenerationInput, TextPiece
from flagscale_workloads.inference.protocol import ChatRequest, CompletionRequest, EmbeddingRequest
from flagscale_workloads.inference.sampling import Sampling

from .conftest import NAME

Start = Callable[..., InferenceEngine]


def chat(text: str, **parts: Any) -> ChatRequest:
    messages = [{"role": "user", "content": text}]
    body = {"model": NAME, "messages": messages, "max_tokens": 8, "ignore_eos": True, **parts}
    return ChatRequest.model_validate(body)


def answer(engine: InferenceEngine, request: Any) -> dict[str, Any]:
    given = engine.process_input(request)
    return engine.process_output(request, given, list(engine.infer(given)))


def test_an_engine_answers_without_http(start: Start, llama: Path) -> None:
    response = answer(start(llama), chat("hello", temperature=0, logprobs=True, top_logprobs=2))
    choice = response["choices"][0]
    assert choice["finish_reason"] == "length"
    assert choice["message"]["content"]
    assert len(choice["logprobs"]["content"]) == 8
    assert len(choice["logprobs"]["content"][0]["top_logprobs"]) == 2
    usage = response["usage"]
    assert usage["completion_tokens"] == 8
    assert usage["total_tokens"] == usage["prompt_tokens"] + 8


def test_a_conversation_goes_through_the_template_or_a_plain_one(start: Start, llama: Path) -> None:
    engine = start(llama)
    given = engine.process_input(chat("hi"))
    assert isinstance(given, GenerationInput)
    assert engine.text_answer(chat("hi"), given).decode(list(given.tokens)) == (
        "user: hi\nassistant:"
    )


def test_seeds_of_requests_without_one_are_the_same_after_each_start(
    start: Start, llama: Path
) -> None:
    texts = []
    for seed in (1, 1, 2):
        engine = start(llama, seed=seed)
        texts.append([answer(engine, chat("hi"))["choices"][0]["message"]["content"]
                      for _ in range(2)])  # fmt: skip
    assert texts[0] == texts[1] != texts[2]
    assert texts[0][0] != texts[0][1]


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (chat("hi", model="other"), 404, "model_not_found"),
        (chat("word " * 300), 400, "context_length_exceeded"),
        (chat("hi", max_tokens=256), 400, "context_length_exceeded"),
        (CompletionRequest(model=NAME, prompt=""), 400, "invalid_value"),
        (CompletionRequest(model=NAME, prompt=[100_000]), 400, "invalid_value"),
        (EmbeddingRequest(model=NAME, input="word " * 300), 400, "context_length_exceeded"),
    ],
)
def test_what_can_not_be_answered_is_refused(
    start: Start, llama: Path, request_: Any, status: int, code: str
) -> None:
    with pytest.raises(RequestError) as error:
        start(llama).process_input(request_)
    assert (error.value.status, error.value.code) == (status, code)


def test_an_answer_is_as_long_as_the_context_allows(start: Start, llama: Path) -> None:
    response = answer(start(llama, context_length=40), chat("hi", max_tokens=None))
    assert response["usage"]["total_tokens"] == 40


def test_requests_beyond_the_queue_are_refused_with_a_time_to_retry(
    start: Start, llama: Path
) -> None:
    engine = start(llama, max_batch=1, max_waiting=2)
    entered, go_on = threading.Event(), threading.Event()

    def block(_: Event) -> None:
        entered.set()
        go_on.wait()

    given = GenerationInput((1, 2), Sampling(max_tokens=1))
    engine.submit(given, block)
    entered.wait()
    for _ in range(2):
        engine.submit(given, lambda _: None)
    with pytest.raises(RequestError) as error:
        engine.submit(given, lambda _: None)
    go_on.set()
    assert error.value.status == 503
    assert error.value.headers == {"Retry-After": "1"}


def test_closing_ends_what_runs_with_an_error(start: Start, llama: Path) -> None:
    engine = start(llama)
    events = engine.infer(GenerationInput((1,), Sampling(max_tokens=255, ignore_eos=True)))
    assert isinstance(next(events), TextPiece)
    stopping = threading.Thread(target=engine.close)
    stopping.start()
    with pytest.raises(RequestError, match="stopping"):
        list(events)
    stopping.join()
    assert not engine.ready


def test_a_model_with_encoder_and_decoder_is_refused(tmp_path: Path) -> None:
    from transformers import T5Config

    T5Config(architectures=["T5ForConditionalGeneration"]).save_pretrained(tmp_path)
    with pytest.raises(LoadError, match="an encoder and a decoder, got t5"):
        InferenceEngine(Settings("transformers", tmp_path, NAME)).load()


def test_models_that_can_not_be_served_are_refused(llama: Path, tmp_path: Path) -> None:
    for settings, told in (
        (Settings("transformers", tmp_path / "none", NAME), "not a folder"),
        (Settings("transformers", tmp_path, NAME), "not a Hugging Face model"),
        (Settings("transformers", llama, NAME, context_length=300), "set at most 256"),
        (Settings("diffusers", llama, NAME), "no readable model_index.json"),
    ):
        with pytest.raises(LoadError, match=told):
            InferenceEngine(settings).load()
