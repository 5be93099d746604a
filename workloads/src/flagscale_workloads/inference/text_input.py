"""Requests for text into tokens, within the model's context."""

from collections.abc import Sequence
from typing import Any

from flagscale_workloads.inference.errors import RequestError, context_exceeded
from flagscale_workloads.inference.grammar import Grammars
from flagscale_workloads.inference.jobs import EmbeddingInput, GenerationInput
from flagscale_workloads.inference.protocol import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    GenerationRequest,
    Message,
)
from flagscale_workloads.inference.sampling import Sampling


class TextInput:
    """The tokenizer's side of a model; its methods raise RequestError and are thread-safe."""

    def __init__(
        self,
        tokenizer: Any,  # noqa: ANN401 - untyped
        *,
        context_length: int,
        vocabulary: int,
        grammars: Grammars | None = None,
    ) -> None:
        self._tokenizer = tokenizer
        self._grammars = grammars
        self._context_length = context_length
        self._vocabulary = vocabulary

    def chat(self, request: ChatRequest, *, seed: int) -> GenerationInput:
        """A conversation through the tokenizer's template, or a plain one where it has none."""
        turns = [{"role": m.role, "content": m.text} for m in request.messages]
        if self._tokenizer.chat_template is None:
            tokens = self._encode(plain_chat(request.messages))
        else:
            tokens = self._encode(self._templated(turns), special=False)
        return self._generation(request, tokens, seed=seed, param="messages")

    def completion(self, request: CompletionRequest, *, seed: int) -> GenerationInput:
        """A text to continue."""
        given: Any = request.prompt
        prompt = given[0] if isinstance(given[:1], list) and isinstance(given[0], str) else given
        tokens = self._tokens(prompt, param="prompt")
        return self._generation(request, tokens, seed=seed, param="prompt")

    def embedding(self, request: EmbeddingRequest) -> EmbeddingInput:
        """Texts to compare."""
        sequences = [self._tokens(given, param="input") for given in request.inputs]
        longest = max(map(len, sequences))
        if longest > self._context_length:
            raise context_exceeded(longest, self._context_length, param="input")
        return EmbeddingInput(tuple(sequences))

    def _generation(
        self, request: GenerationRequest, tokens: tuple[int, ...], *, seed: int, param: str
    ) -> GenerationInput:
        asked = request.answer_tokens
        total = len(tokens) + (asked or 1)
        if total > self._context_length:
            raise context_exceeded(total, self._context_length, param=param)
        sampling = Sampling(
            max_tokens=asked or self._context_length - len(tokens),
            temperature=1.0 if request.temperature is None else request.temperature,
            top_p=request.top_p or 1.0,
            top_k=max(0, request.top_k or 0),
            seed=seed if request.seed is None else request.seed,
            stop=request.stop_texts,
            ignore_eos=request.ignore_eos,
            alternatives=request.top_alternatives,
            grammar=self._grammar(request),
        )
        return GenerationInput(tokens, sampling)

    def _grammar(self, request: GenerationRequest) -> str | None:
        schema = request.schema_of_answer
        if schema is None or self._grammars is None:
            return None
        return self._grammars.of_schema(schema, param="response_format")

    def _templated(self, turns: list[dict[str, str]]) -> str:
        try:
            text = self._tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=True
            )
        except Exception as error:
            # A template is a program of the model's author; it raises what it likes.
            msg = f"messages: the model's chat template refuses them ({error}); change them"
            raise RequestError(msg, param="messages", code="invalid_value") from error
        return str(text)

    def _tokens(self, given: str | Sequence[int], *, param: str) -> tuple[int, ...]:
        tokens = self._encode(given) if isinstance(given, str) else tuple(given)
        if not tokens:
            msg = f"{param}: no tokens, got an empty text; send some text"
            raise RequestError(msg, param=param, code="invalid_value")
        if max(tokens) >= self._vocabulary:
            msg = f"{param}: not in the vocabulary, got {max(tokens)}; it has {self._vocabulary}"
            raise RequestError(msg, param=param, code="invalid_value")
        return tokens

    def _encode(self, text: str, *, special: bool = True) -> tuple[int, ...]:
        # verbose: no warning about a length that is checked here anyway.
        encoded = self._tokenizer(text, add_special_tokens=special, verbose=False)
        return tuple(encoded["input_ids"])


def plain_chat(messages: Sequence[Message]) -> str:
    """A conversation as a model without a template may have seen it."""
    turns = "".join(f"{message.role}: {message.text}\n" for message in messages)
    return f"{turns}assistant:"
