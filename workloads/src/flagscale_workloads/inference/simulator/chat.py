"""Bodies of /v1/chat/completions, and the prompt that a chat is."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from flagscale_workloads.inference.simulator.answers import Answer
from flagscale_workloads.inference.simulator.forms import Body, Form, Head, Usage
from flagscale_workloads.inference.simulator.logprobs import chat_logprobs
from flagscale_workloads.inference.simulator.requests import ChatRequest
from flagscale_workloads.inference.simulator.tokens import tokenize


def chat_prompt(request: ChatRequest) -> list[str]:
    """Tokens of tools and messages; a longer chat begins with those of a shorter one."""
    tokens: list[str] = []
    if request.tools and request.tool_choice != "none":
        functions = [tool.function.model_dump() for tool in request.tools]
        tokens += ["<|tools|>", *tokenize(json.dumps(functions))]
    for message in request.messages:
        tokens += [f"<|{message.role}|>", *tokenize(message.text), "<|end|>"]
    return [*tokens, "<|assistant|>"]


class ChatForm(Form):
    """Text or a tool call, in OpenAI's chat form."""

    def __init__(self, head: Head, answer: Answer, request: ChatRequest) -> None:
        super().__init__(head, answer)
        self._top = request.top_logprobs if request.logprobs else None

    def whole(self, usage: Usage) -> Body:
        """The body of an answer that is not streamed."""
        message: dict[str, Any] = {"role": "assistant", "content": self.answer.text}
        if self.answer.tool:
            message |= {"content": None, "tool_calls": [self._call(self.answer.text)]}
        choice = {
            "index": 0,
            "message": message,
            "logprobs": self._logprobs(0, len(self.answer.pieces)),
            "finish_reason": self.answer.finish,
        }
        head = self.head.body("chat.completion")
        return {**head, "choices": [choice], "usage": usage.body()}

    def opening(self) -> Iterator[Body]:
        """The role, and the name of the tool."""
        delta: dict[str, Any] = {"role": "assistant", "content": ""}
        if self.answer.tool:
            delta |= {"content": None, "tool_calls": [{"index": 0, **self._call("")}]}
        yield self._chunk(delta)

    def piece(self, position: int) -> Body | None:
        """The text, or a piece of the arguments."""
        text = self.answer.pieces[position]
        if self.answer.tool:
            return self._chunk({"tool_calls": [{"index": 0, "function": {"arguments": text}}]})
        logprobs = self._logprobs(position, position + 1)
        return self._chunk({"content": text}, logprobs) if text or logprobs else None

    def closing(self) -> Body:
        """The chunk with the finish reason."""
        return self._chunk({}, finish=self.answer.finish)

    def final_usage(self, usage: Usage) -> Body:
        """The chunk with the usage, without choices."""
        head = self.head.body("chat.completion.chunk")
        return {**head, "choices": [], "usage": usage.body()}

    def _chunk(self, delta: Body, logprobs: Body | None = None, finish: str | None = None) -> Body:
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return {**self.head.body("chat.completion.chunk"), "choices": [choice]}

    def _call(self, arguments: str) -> dict[str, Any]:
        digest = hashlib.blake2b(f"{self.head.id}".encode(), digest_size=6).hexdigest()
        function = {"name": self.answer.tool, "arguments": arguments}
        return {"id": f"call_{digest}", "type": "function", "function": function}

    def _logprobs(self, start: int, end: int) -> Body | None:
        if self._top is None or self.answer.tool:
            return None
        return chat_logprobs(self.answer.pieces, start, end, top=self._top)
