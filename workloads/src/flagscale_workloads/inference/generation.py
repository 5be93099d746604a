"""Continuous batching: requests join and leave the batch between two steps of the model.

After Orca (Yu et al., OSDI 2022). Prompts are computed in chunks, so that a long one does not
stop the others for its whole length (Sarathi, Agrawal et al. 2023). transformers' own continuous
batching has neither a seed per request nor the probabilities of its tokens, so the loop is here.
"""

import logging
from collections import deque
from typing import Final

import torch

from flagscale_workloads.inference.errors import RequestError, internal, out_of_memory
from flagscale_workloads.inference.jobs import Job
from flagscale_workloads.inference.kv_cache import BatchCache
from flagscale_workloads.inference.memory import BatchLimit, is_out_of_memory
from flagscale_workloads.inference.meters import Meters
from flagscale_workloads.inference.text_model import TextModel
from flagscale_workloads.inference.written import Written

CHUNK_TOKENS: Final = 512
"""Prompt tokens computed between two steps of the batch."""

log = logging.getLogger(__name__)


class Prefill:
    """A sequence whose tokens are not all in a cache yet."""

    def __init__(self, sequence: Written) -> None:
        self.sequence = sequence
        self.cache = BatchCache()
        self.done = 0

    @property
    def complete(self) -> bool:
        """Whether the next token is known."""
        return self.done == len(self.sequence.tokens)


class Generation:
    """The sequences that a model writes at the same time; used by one thread only."""

    def __init__(self, model: TextModel, *, max_batch: int, meters: Meters) -> None:
        self._model = model
        self._meters = meters
        self._capacity = max_batch * model.context_length
        self._limit = BatchLimit(max_batch)
        self._waiting: deque[Written] = deque()
        self._prefills: list[Prefill] = []
        self._rows: list[Written] = []
        self._cache = BatchCache()

    @property
    def waiting(self) -> int:
        """Requests without a place in the batch."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """Requests with a place in the batch."""
        return len(self._rows) + len(self._prefills)

    def add(self, job: Job) -> None:
        """Take a request; it starts with the next step that has a place."""
        self._waiting.append(Written(job, self._model))

    def step(self) -> None:
        """Drop who left, admit who waits, compute a chunk of prompts and one token of each row."""
        self._drop_cancelled()
        self._admit()
        if not self._compute():
            # Only here is the exception gone, and with it the tensors that its traceback held.
            self._split()
        cached = sum(self._cache.lengths) + sum(prefill.done for prefill in self._prefills)
        self._meters.cache_usage.set(cached / self._capacity)

    def fail_all(self, error: RequestError) -> None:
        """End everything that waits or runs."""
        self._fail_running(error)
        for sequence in self._waiting:
            sequence.fail(error)
        self._waiting.clear()

    def _compute(self) -> bool:
        """False: out of memory. Another failure of the model ends all that it worked on."""
        try:
            self._advance_prefills()
            self._decode()
        except Exception as error:
            if is_out_of_memory(error):
                return False
            log.exception("the model failed with %d requests", self.running)
            self._fail_running(internal())
        self._limit.succeeded()
        return True

    def _drop_cancelled(self) -> None:
        self._keep([not sequence.job.cancelled for sequence in self._rows])
        self._prefills = [p for p in self._prefills if not p.sequence.job.cancelled]
        self._waiting = deque(s for s in self._waiting if not s.job.cancelled)

    def _admit(self) -> None:
        while self._waiting and self.running < self._limit.rows:
            self._prefills.append(Prefill(self._waiting.popleft()))

    def _advance_prefills(self) -> None:
        budget = CHUNK_TOKENS
        for prefill in self._prefills:
            if budget > 0:
                budget -= self._try_prefill(prefill, budget)
        ready = [p for p in self._prefills if p.complete]
        going_on = [p for p in ready if not p.sequence.over]
        if going_on:
            self._cache.join([p.cache for p in going_on])
            self._rows += [p.sequence for p in going_on]
        self._prefills = [p for p in self._prefills if p not in ready]

    def _try_prefill(self, prefill: Prefill, budget: int) -> int:
        """As _prefill; a prompt that the model fails on ends alone."""
        try:
            return self._prefill(prefill, budget)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            log.exception("the model failed on a prompt")
            prefill.sequence.fail(internal())
            prefill.done = len(prefill.sequence.tokens)
            return 0

    def _prefill(self, prefill: Prefill, budget: int) -> int:
        """Compute up to `budget` further tokens; how many it were."""
        sequence, size = prefill.sequence, len(prefill.sequence.tokens)
        chunk = sequence.tokens[prefill.done : prefill.done + budget]
        logits = self._model.extend(prefill.cache, chunk)
        prefill.done += len(chunk)
        # A sequence that was put back after a lack of memory counts its prompt once.
        self._meters.prompt_tokens.inc(0 if sequence.written else len(chunk))
        if prefill.done == size:
            self._write(sequence, logits)
            prefill.done = len(sequence.tokens)
        return len(chunk)

    def _decode(self) -> None:
        if not self._rows:
            return
        logits = self._model.step(self._cache, [row.tokens[-1] for row in self._rows])
        for row, row_logits in zip(self._rows, logits, strict=True):
            self._write(row, row_logits)
        self._keep([not row.over for row in self._rows])

    def _write(self, sequence: Written, logits: torch.Tensor) -> None:
        if bool(logits.isnan().any()):
            log.error("the model computed NaN; the request fails")
            sequence.fail(internal())
            return
        sequence.write(logits)
        self._meters.generated_tokens.inc()

    def _keep(self, wanted: list[bool]) -> None:
        rows = [index for index, keep in enumerate(wanted) if keep]
        self._cache.keep(rows)
        self._rows = [self._rows[index] for index in rows]

    def _split(self) -> None:
        """After a lack of memory: start the running ones again, half as many at once.

        What they have written stays; its keys and values are computed anew. Nothing of the old
        cache is trusted, as the step may have ended between two layers.
        """
        running = self._running_sequences()
        self._reset()
        self._meters.out_of_memory.inc()
        log.warning("out of memory with %d requests", len(running))
        if not self._limit.failed(len(running)):
            for sequence in running:
                sequence.fail(out_of_memory())
            return
        self._waiting.extendleft(reversed(running))

    def _fail_running(self, error: RequestError) -> None:
        for sequence in self._running_sequences():
            sequence.fail(error)
        self._reset()

    def _running_sequences(self) -> list[Written]:
        everything = [*self._rows, *(prefill.sequence for prefill in self._prefills)]
        return [sequence for sequence in everything if not sequence.over]

    def _reset(self) -> None:
        self._rows, self._prefills, self._cache = [], [], BatchCache()
