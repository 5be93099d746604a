"""Texts into vectors of unit length."""

import json
import logging
from collections import deque
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import torch

from flagscale_workloads.inference.errors import (
    LoadError,
    RequestError,
    internal,
    out_of_memory,
)
from flagscale_workloads.inference.folder import (
    Settings,
    context_length,
    load_tokenizer,
    read_config,
    torch_dtype,
)
from flagscale_workloads.inference.jobs import EmbeddingInput, Failure, Job, Vectors
from flagscale_workloads.inference.memory import BatchLimit, is_out_of_memory
from flagscale_workloads.inference.meters import Meters

Pooling = Literal["mean", "cls"]
# Where sentence-transformers says how a model was trained to be pooled.
_POOLING_FILE: Final = Path("1_Pooling") / "config.json"

log = logging.getLogger(__name__)


class Encoder(Protocol):
    """What gives the last hidden state of each token."""

    device: torch.device
    pooling: Pooling

    def hidden(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """[rows, width, hidden size] of tokens [rows, width], padded on the right."""


class EncoderModel:
    """A bidirectional model such as BERT, with its tokenizer; used by one thread only."""

    def __init__(self, settings: Settings) -> None:
        from transformers import AutoModel

        self.device = torch.device(settings.device)
        self.tokenizer = load_tokenizer(settings.model)
        length = context_length(read_config(settings.model), settings)
        # RoBERTa's positions begin at 2, so its tokenizer knows better how many there are.
        self.context_length = min(length, self.tokenizer.model_max_length)
        self.pooling: Pooling = read_pooling(settings.model)
        # transformers decorates its classes in a way that type checkers see as untyped.
        make: Any = AutoModel
        self.network = make.from_pretrained(
            str(settings.model),
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch_dtype(settings.dtype),
        )
        self.network.to(self.device).eval()

    @property
    def vocabulary(self) -> int:
        """Tokens that the model has an embedding of."""
        return int(self.network.get_input_embeddings().num_embeddings)

    def warm_up(self) -> None:
        """A real forward pass."""
        one = torch.zeros((1, 1), dtype=torch.long, device=self.device)
        self.hidden(one, one + 1)

    def hidden(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The last hidden states."""
        with torch.inference_mode():
            out: torch.Tensor = self.network(tokens, attention_mask=mask).last_hidden_state
        return out


def read_pooling(folder: Path) -> Pooling:
    """How the model was trained to be pooled; mean where it does not say."""
    path = folder / _POOLING_FILE
    if not path.is_file():
        return "mean"
    said: dict[str, Any] = json.loads(path.read_text())
    chosen = [name for name, value in said.items() if name.startswith("pooling_") and value is True]
    known: dict[str, Pooling] = {
        "pooling_mode_mean_tokens": "mean",
        "pooling_mode_cls_token": "cls",
    }
    if len(chosen) != 1 or chosen[0] not in known:
        msg = f"{_POOLING_FILE}: can't be served, got {chosen}; only one of {sorted(known)} can"
        raise LoadError(msg)
    return known[chosen[0]]


def pool(hidden: torch.Tensor, mask: torch.Tensor, pooling: Pooling) -> torch.Tensor:
    """[rows, size] of unit length from [rows, width, size] and a mask of the real tokens."""
    if pooling == "cls":
        vectors = hidden[:, 0].float()
    else:
        weights = mask[:, :, None].float()
        vectors = (hidden.float() * weights).sum(1) / weights.sum(1)
    return torch.nn.functional.normalize(vectors, dim=-1)


class _Progress:
    """A request and its vectors so far."""

    def __init__(self, job: Job, given: EmbeddingInput) -> None:
        self.job = job
        self.sequences = given.sequences
        self.vectors: list[tuple[float, ...]] = []


class Embedding:
    """Batches inputs of concurrent requests; used by one thread only."""

    def __init__(self, encoder: Encoder, *, max_batch: int, meters: Meters) -> None:
        self._encoder = encoder
        self._meters = meters
        self._limit = BatchLimit(max_batch)
        self._requests: deque[_Progress] = deque()
        self._started = 0

    @property
    def waiting(self) -> int:
        """Requests of which nothing is computed yet."""
        return max(0, len(self._requests) - self._started)

    @property
    def running(self) -> int:
        """Requests that the last step computed a part of."""
        return len(self._requests) - self.waiting

    def add(self, job: Job) -> None:
        """Take a request."""
        if isinstance(job.input, EmbeddingInput):
            self._requests.append(_Progress(job, job.input))

    def step(self) -> None:
        """Compute the next inputs, in order, as many as fit a batch."""
        self._requests = deque(r for r in self._requests if not r.job.cancelled)
        todo = [
            (request, tokens)
            for request in self._requests
            for tokens in request.sequences[len(request.vectors) :]
        ][: self._limit.rows]
        if todo:
            self._started = len({id(request) for request, _ in todo})
            vectors = self._compute([tokens for _, tokens in todo])
            if vectors is not None:
                for (request, _), vector in zip(todo, vectors, strict=True):
                    request.vectors.append(tuple(vector))
            elif not self._limit.failed(len(todo)):
                self._fail(todo[0][0], out_of_memory())
        for request in [r for r in self._requests if len(r.vectors) == len(r.sequences)]:
            self._requests.remove(request)
            request.job.emit(Vectors(tuple(request.vectors)))
        self._started = 0

    def fail_all(self, error: RequestError) -> None:
        """End everything that waits or runs."""
        for request in list(self._requests):
            self._fail(request, error)

    def _compute(self, sequences: list[tuple[int, ...]]) -> list[list[float]] | None:
        """Vectors; None for lack of memory."""
        width = max(map(len, sequences))
        mask = torch.tensor([[1] * len(s) + [0] * (width - len(s)) for s in sequences])
        tokens = torch.tensor([[*s, *[0] * (width - len(s))] for s in sequences])
        device = self._encoder.device
        try:
            hidden = self._encoder.hidden(tokens.to(device), mask.to(device))
            vectors: list[list[float]] = pool(
                hidden, mask.to(device), self._encoder.pooling
            ).tolist()
        except Exception as error:
            if is_out_of_memory(error):
                self._meters.out_of_memory.inc()
                return None
            log.exception("the model failed with %d inputs", len(sequences))
            self.fail_all(internal())
            return [[]] * len(sequences)
        self._meters.prompt_tokens.inc(sum(map(len, sequences)))
        self._limit.succeeded()
        return vectors

    def _fail(self, request: _Progress, error: RequestError) -> None:
        self._requests.remove(request)
        request.job.emit(Failure(error))
