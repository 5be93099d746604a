import base64
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from flagscale_workloads.inference.embedding import Embedding, EncoderModel, read_pooling
from flagscale_workloads.inference.engine import InferenceEngine
from flagscale_workloads.inference.errors import LoadError, RequestError
from flagscale_workloads.inference.folder import Settings
from flagscale_workloads.inference.jobs import EmbeddingInput, Event, Failure, Job, Vectors
from flagscale_workloads.inference.meters import Meters
from flagscale_workloads.inference.protocol import ChatRequest, EmbeddingRequest

from .conftest import NAME

Start = Callable[..., InferenceEngine]
SEQUENCES = ((2, 5, 6, 3), (2, 7, 3), (2, 5, 6, 8, 5, 7, 9, 3), (2, 9, 3), (2, 3))


@pytest.fixture
def encoder(bert: Path) -> EncoderModel:
    return EncoderModel(Settings("transformers", bert, NAME, dtype="float32"))


def vectors(encoder: EncoderModel, *jobs: tuple[tuple[int, ...], ...], batch: int = 4) -> list[Any]:
    told: list[list[Event]] = [[] for _ in jobs]
    running = Embedding(encoder, max_batch=batch, meters=Meters())
    for sequences, events in zip(jobs, told, strict=True):
        running.add(Job(EmbeddingInput(sequences), events.append))
    while running.waiting or running.running:
        running.step()
    return [event.values if isinstance(event, Vectors) else event for (event,) in told]


def test_a_vector_is_the_mean_of_the_last_states_of_unit_length(encoder: EncoderModel) -> None:
    with torch.inference_mode():
        states = encoder.network(torch.tensor([SEQUENCES[2]])).last_hidden_state[0]
    expected = torch.nn.functional.normalize(states.mean(0), dim=0)
    ((vector,),) = vectors(encoder, SEQUENCES[2:3])
    assert torch.allclose(torch.tensor(vector), expected, atol=1e-5)


def test_a_vector_does_not_depend_on_the_batch(encoder: EncoderModel) -> None:
    first, second = vectors(encoder, SEQUENCES, SEQUENCES[:1])
    for sequence, vector in zip(SEQUENCES, first, strict=True):
        ((alone,),) = vectors(encoder, (sequence,))
        assert vector == pytest.approx(alone, abs=1e-5)
    assert second[0] == pytest.approx(first[0], abs=1e-5)


def test_too_little_memory_makes_smaller_batches(encoder: EncoderModel) -> None:
    whole = vectors(encoder, SEQUENCES)

    def scarce(_: object, args: tuple[Any, ...]) -> None:
        if args[0].shape[0] > limit:
            raise torch.OutOfMemoryError("no memory for so many rows")

    encoder.network.register_forward_pre_hook(scarce)
    limit = 1
    for one, other in zip(vectors(encoder, SEQUENCES)[0], whole[0], strict=True):
        assert one == pytest.approx(other, abs=1e-5)
    limit = 0
    (failed,) = vectors(encoder, SEQUENCES)
    assert isinstance(failed, Failure)
    assert failed.error.code == "out_of_memory"


def test_a_failing_model_ends_the_request(
    encoder: EncoderModel, caplog: pytest.LogCaptureFixture
) -> None:
    (failed,) = vectors(encoder, ((999,),))
    assert isinstance(failed, Failure)
    assert failed.error.status == 500
    assert "IndexError" in caplog.text


def test_an_encoder_gives_embeddings_and_nothing_else(start: Start, bert: Path) -> None:
    engine = start(bert)
    for form in ("float", "base64"):
        request = EmbeddingRequest(
            model=NAME, input=["the fox jumps", "the dog"], encoding_format=form
        )
        given = engine.process_input(request)
        response = engine.process_output(request, given, list(engine.infer(given)))
        assert [item["index"] for item in response["data"]] == [0, 1]
        assert response["usage"]["prompt_tokens"] == 9
        data = response["data"][1]["embedding"]
        if form == "base64":
            data = struct.unpack("<16f", base64.b64decode(data))
        assert sum(value * value for value in data) == pytest.approx(1, abs=1e-5)
    chat = {"model": NAME, "messages": [{"role": "user", "content": "hi"}]}
    with pytest.raises(RequestError, match="no such endpoint") as error:
        engine.process_input(ChatRequest.model_validate(chat))
    assert error.value.status == 404


def test_a_language_model_gives_embeddings_too(start: Start, llama: Path) -> None:
    engine = start(llama)
    given = EmbeddingInput(((5, 6, 7), (8, 9)))
    (together,), (alone,) = engine.infer(given), engine.infer(EmbeddingInput(((8, 9),)))
    assert isinstance(together, Vectors)
    assert isinstance(alone, Vectors)
    assert together.values[1] == pytest.approx(alone.values[0], abs=1e-5)


def test_pooling_is_as_the_model_says(tmp_path: Path) -> None:
    assert read_pooling(tmp_path) == "mean"
    path = tmp_path / "1_Pooling" / "config.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}))
    assert read_pooling(tmp_path) == "cls"
    path.write_text(json.dumps({"pooling_mode_max_tokens": True}))
    with pytest.raises(LoadError, match="pooling_mode_max_tokens"):
        read_pooling(tmp_path)
