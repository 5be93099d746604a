"""What a loaded model can do: which requests it takes, and what computes them."""

import hashlib
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

from flagscale_workloads.inference.drawing import Drawing
from flagscale_workloads.inference.embedding import Embedding, EncoderModel, Pooling, read_pooling
from flagscale_workloads.inference.errors import LoadError, RequestError
from flagscale_workloads.inference.folder import Settings, read_config
from flagscale_workloads.inference.generation import Generation
from flagscale_workloads.inference.image_model import ImageModel
from flagscale_workloads.inference.jobs import (
    EmbeddingInput,
    GenerationInput,
    ImageInput,
    ModelInput,
)
from flagscale_workloads.inference.meters import Meters
from flagscale_workloads.inference.protocol import (
    MAX_IMAGE_SIDE,
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    ImageRequest,
    Request,
)
from flagscale_workloads.inference.responses import Decode
from flagscale_workloads.inference.text_input import TextInput
from flagscale_workloads.inference.text_model import TextModel, is_causal
from flagscale_workloads.inference.worker import Executor

Prepare: TypeAlias = Callable[[Any], ModelInput]


@dataclass(frozen=True, slots=True)
class Served:
    """A model that has made a real forward pass."""

    inputs: Mapping[type[Request], Prepare]
    executors: Mapping[type[Any], Executor]
    context_length: int | None = None
    decode: Decode = str


class DecoderStates:
    """The last hidden states of a causal model, for embeddings."""

    def __init__(self, model: TextModel, pooling: Pooling) -> None:
        self.device = model.device
        self.pooling: Pooling = pooling
        self._network = model.network.base_model

    def hidden(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """[rows, width, hidden size]; padding on the right is never seen by a causal model."""
        with torch.inference_mode():
            out: torch.Tensor = self._network(
                input_ids=tokens, attention_mask=mask, use_cache=False
            ).last_hidden_state
        return out


def load_model(settings: Settings, meters: Meters) -> Served:
    """Read a folder and compute with it once. Raises LoadError."""
    if settings.loader == "diffusers":
        return _images(settings, meters)
    config = read_config(settings.model)
    if is_causal(config):
        return _text(settings, meters)
    if config.is_encoder_decoder:
        msg = (
            f"model: has an encoder and a decoder, got {config.model_type}; "
            "serve a causal model, or an encoder for embeddings"
        )
        raise LoadError(msg)
    return _encoder(settings, meters)


def _text(settings: Settings, meters: Meters) -> Served:
    model = TextModel(settings)
    model.warm_up()
    text = TextInput(
        model.tokenizer,
        context_length=model.context_length,
        vocabulary=model.vocabulary,
        grammars=model.grammars,
    )
    seeds = Seeds(settings.seed)
    states = DecoderStates(model, read_pooling(settings.model))
    size = settings.max_batch
    return Served(
        inputs={
            ChatRequest: lambda request: text.chat(request, seed=seeds.next()),
            CompletionRequest: lambda request: text.completion(request, seed=seeds.next()),
            EmbeddingRequest: text.embedding,
        },
        executors={
            GenerationInput: Generation(model, max_batch=size, meters=meters),
            EmbeddingInput: Embedding(states, max_batch=size, meters=meters),
        },
        context_length=model.context_length,
        decode=model.decode,
    )


def _encoder(settings: Settings, meters: Meters) -> Served:
    model = EncoderModel(settings)
    model.warm_up()
    text = TextInput(
        model.tokenizer, context_length=model.context_length, vocabulary=model.vocabulary
    )
    embedding = Embedding(model, max_batch=settings.max_batch, meters=meters)
    return Served(
        inputs={EmbeddingRequest: text.embedding},
        executors={EmbeddingInput: embedding},
        context_length=model.context_length,
    )


def _images(settings: Settings, meters: Meters) -> Served:
    model = ImageModel(settings)
    model.warm_up()
    seeds = Seeds(settings.seed)

    def prepare(request: ImageRequest) -> ImageInput:
        _check_steps(request, model.most_steps)
        return image_input(request, seed=seeds.next(), multiple=model.side_multiple)

    drawing = Drawing(model, max_batch=settings.max_batch, meters=meters)
    return Served(inputs={ImageRequest: prepare}, executors={ImageInput: drawing})


def _check_steps(request: ImageRequest, most: int | None) -> None:
    if request.steps is not None and most is not None and request.steps > most:
        msg = f"steps: more than the model's schedule has, got {request.steps}; use at most {most}"
        raise RequestError(msg, param="steps", code="invalid_value")


def image_input(request: ImageRequest, *, seed: int, multiple: int) -> ImageInput:
    """A picture's parameters. Raises RequestError for a size that the model can't draw."""
    width, height = request.width_and_height or (None, None)
    for side in (width, height):
        if side is not None and (side % multiple or side > MAX_IMAGE_SIDE):
            msg = (
                f"size: can't be drawn, got {request.size}; use multiples of {multiple} "
                f"up to {MAX_IMAGE_SIDE}"
            )
            raise RequestError(msg, param="size", code="invalid_value")
    return ImageInput(
        prompt=request.prompt,
        count=request.n,
        seed=seed if request.seed is None else request.seed,
        width=width,
        height=height,
        steps=request.steps,
        guidance=request.guidance,
    )


class Seeds:
    """Seeds of requests that bring none: the same ones after each start; safe from any thread."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._numbers = itertools.count()

    def next(self) -> int:
        """Another seed, far from all others, below 2**56."""
        text = f"{self._seed}:{next(self._numbers)}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7])
