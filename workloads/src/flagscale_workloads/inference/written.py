"""One answer while it is written."""

import torch

from flagscale_workloads.inference.errors import RequestError
from flagscale_workloads.inference.jobs import Failure, Finish, GenerationInput, Job, TextPiece
from flagscale_workloads.inference.sampling import Token, choose, generator_for
from flagscale_workloads.inference.text_model import TextModel
from flagscale_workloads.inference.text_writer import TextWriter


class Written:
    """A sequence: prompt and answer so far, its random numbers and its text."""

    def __init__(self, job: Job, model: TextModel) -> None:
        given = job.input
        if not isinstance(given, GenerationInput):
            raise TypeError(f"job: not a prompt, got {type(given).__name__}; submit it elsewhere")
        self.job = job
        self.tokens = list(given.tokens)
        self.over = False
        self._prompt = len(self.tokens)
        self._sampling = given.sampling
        self._ends = frozenset() if given.sampling.ignore_eos else model.ends
        self._random = generator_for(given.sampling, model.device)
        grammar = given.sampling.grammar
        self._constraint = model.grammars.constraint(grammar) if grammar else None
        self._writer = TextWriter(model.decode, stop=given.sampling.stop)
        self._unsent: list[Token] = []

    @property
    def written(self) -> int:
        """Tokens of the answer."""
        return len(self.tokens) - self._prompt

    def write(self, logits: torch.Tensor) -> None:
        """Choose the next token from float32 logits [vocabulary], and tell what can be told."""
        try:
            allowed = self._constraint.allowed() if self._constraint else None
        except RequestError as error:
            self.fail(error)
            return
        token = choose(logits, self._sampling, self._random, allowed)
        self.tokens.append(token.id)
        self._unsent.append(token)
        complete = self._constraint is not None and self._constraint.take(token.id)
        ended = token.id in self._ends
        text = "" if ended else self._writer.push(token.id)
        finish: Finish | None = None
        if ended or complete or self._writer.stopped:
            finish = "stop"
        elif self.written >= self._sampling.max_tokens:
            finish = "length"
        if finish:
            text += self._writer.finish()
            # What was held back may hold the stop text itself.
            finish = "stop" if self._writer.stopped else finish
        self._tell(text, finish)

    def fail(self, error: RequestError) -> None:
        """End with an error."""
        self.over = True
        self.job.emit(Failure(error))

    def _tell(self, text: str, finish: Finish | None) -> None:
        if text or finish:
            self.job.emit(TextPiece(text, tuple(self._unsent), finish))
            self._unsent = []
        self.over = finish is not None
