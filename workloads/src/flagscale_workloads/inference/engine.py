"""Our own engine: what it serves, with or without HTTP."""

import queue
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from flagscale_workloads.inference import responses
from flagscale_workloads.inference.errors import RequestError, not_ready
from flagscale_workloads.inference.folder import Settings
from flagscale_workloads.inference.jobs import (
    EmbeddingInput,
    Event,
    Failure,
    GenerationInput,
    Images,
    Job,
    ModelInput,
    TextPiece,
    Vectors,
    is_last,
)
from flagscale_workloads.inference.meters import Meters
from flagscale_workloads.inference.protocol import EmbeddingRequest, GenerationRequest, Request
from flagscale_workloads.inference.responses import TextAnswer
from flagscale_workloads.inference.served import Served, load_model
from flagscale_workloads.inference.worker import Worker


class InferenceEngine:
    """A model of transformers or diffusers; requests that come at the same time share batches.

    After `load`, `process_input` (checks, tokens), `infer` (the model) and `process_output` (the
    response) can be called from any thread. With float32 an answer does not depend on what else
    is computed, up to the rounding of sums; a seed gives the same answer again.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.meters = Meters()
        self.created = int(time.time())
        self._served: Served | None = None
        self._worker: Worker | None = None

    @property
    def ready(self) -> bool:
        """Whether the model has computed something, and takes requests."""
        return self._worker is not None and self._worker.alive

    @property
    def context_length(self) -> int | None:
        """Tokens of prompt and answer together; None for pictures, and before load()."""
        return self._served.context_length if self._served else None

    def load(self) -> None:
        """Read the model, and compute with it once. Raises LoadError."""
        served = load_model(self.settings, self.meters)
        self._served = served
        worker = Worker(served.executors, max_waiting=self.settings.max_waiting, meters=self.meters)
        worker.start()
        self._worker = worker

    def close(self, *, timeout_s: float | None = None) -> None:
        """End all requests and the model's thread, if its step ends in time."""
        if self._worker is not None:
            self._worker.stop(timeout_s=timeout_s)

    def takes(self, kind: type[Request]) -> bool:
        """Whether this model answers requests of a kind."""
        return self._served is not None and kind in self._served.inputs

    def process_input(self, request: Request) -> ModelInput:
        """What the model computes for a request. Raises RequestError."""
        if self._served is None:
            raise not_ready("the model is being loaded")
        if request.model != self.settings.served_name:
            msg = f"model: not served here, got {request.model}; use {self.settings.served_name}"
            raise RequestError(msg, status=404, param="model", code="model_not_found")
        if type(request) not in self._served.inputs:
            msg = f"model: {request.model} has no such endpoint; see /v1/models"
            raise RequestError(msg, status=404, param="model", code="unsupported_endpoint")
        return self._served.inputs[type(request)](request)

    def submit(self, given: ModelInput, emit: Callable[[Event], None]) -> Job:
        """Start computing; `emit` gets each event, in the model's thread. Raises RequestError."""
        if self._worker is None:
            raise not_ready("the model is being loaded")
        job = Job(given, emit)
        self._worker.submit(job)
        return job

    def infer(self, given: ModelInput) -> Iterator[Event]:
        """Events until the last one; closing the iterator cancels. Raises RequestError."""
        events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        job = self.submit(given, events.put)
        try:
            while True:
                event = events.get()
                if isinstance(event, Failure):
                    raise event.error
                yield event
                if is_last(event):
                    return
        finally:
            job.cancel()

    def process_output(
        self, request: Request, given: ModelInput, events: Sequence[Event]
    ) -> dict[str, Any]:
        """The response, in OpenAI's form, from all events of a request."""
        last = events[-1]
        if isinstance(last, Images):
            return responses.images(last)
        if isinstance(last, Vectors):
            inputs = cast("EmbeddingInput", given)
            return responses.embeddings(cast("EmbeddingRequest", request), inputs, last)
        answer = self.text_answer(cast("GenerationRequest", request), given)
        return answer.whole(event for event in events if isinstance(event, TextPiece))

    def text_answer(self, request: GenerationRequest, given: ModelInput) -> TextAnswer:
        """What makes responses of a request's pieces, whole or in chunks."""
        if self._served is None or not isinstance(given, GenerationInput):
            raise TypeError(f"input: not a prompt, got {type(given).__name__}; pass its own input")
        return TextAnswer(request, len(given.tokens), self._served.decode)
