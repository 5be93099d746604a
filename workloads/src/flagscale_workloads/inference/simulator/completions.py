"""Bodies of /v1/completions."""

from collections.abc import Iterator

from flagscale_workloads.inference.simulator.answers import Answer
from flagscale_workloads.inference.simulator.forms import Body, Form, Head, Usage
from flagscale_workloads.inference.simulator.logprobs import completion_logprobs
from flagscale_workloads.inference.simulator.requests import CompletionRequest
from flagscale_workloads.inference.simulator.tokens import tokenize

_KIND = "text_completion"


def text_prompt(text: str) -> list[str]:
    """Tokens of a bare text; never none."""
    return ["<|begin|>", *tokenize(text)]


class CompletionForm(Form):
    """Text in OpenAI's older form."""

    def __init__(self, head: Head, answer: Answer, request: CompletionRequest) -> None:
        super().__init__(head, answer)
        self._top = request.logprobs

    def whole(self, usage: Usage) -> Body:
        """The body of an answer that is not streamed."""
        logprobs = self._logprobs(0, len(self.answer.pieces))
        body = self._body(self.answer.text, logprobs, self.answer.finish)
        return {**body, "usage": usage.body()}

    def opening(self) -> Iterator[Body]:
        """Nothing: the first chunk is the first token."""
        return iter(())

    def piece(self, position: int) -> Body | None:
        """The text of a token."""
        text = self.answer.pieces[position]
        logprobs = self._logprobs(position, position + 1)
        return self._body(text, logprobs) if text or logprobs else None

    def closing(self) -> Body:
        """The chunk with the finish reason."""
        return self._body("", finish=self.answer.finish)

    def final_usage(self, usage: Usage) -> Body:
        """The chunk with the usage, without choices."""
        return {**self.head.body(_KIND), "choices": [], "usage": usage.body()}

    def _body(self, text: str, logprobs: Body | None = None, finish: str | None = None) -> Body:
        choice = {"index": 0, "text": text, "logprobs": logprobs, "finish_reason": finish}
        return {**self.head.body(_KIND), "choices": [choice]}

    def _logprobs(self, start: int, end: int) -> Body | None:
        if self._top is None:
            return None
        return completion_logprobs(self.answer.pieces, start, end, top=self._top)
