"""Answers in the words of OpenAI's HTTP."""

import base64
import struct
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from flagscale_workloads.inference.jobs import EmbeddingInput, Images, TextPiece, Vectors
from flagscale_workloads.inference.protocol import (
    ChatRequest,
    EmbeddingRequest,
    GenerationRequest,
)
from flagscale_workloads.inference.sampling import Token

Json = dict[str, Any]
Decode = Callable[[list[int]], str]
_HALF_CHARACTER: Final = "\N{REPLACEMENT CHARACTER}"


@dataclass(slots=True)
class TextAnswer:
    """The answer to one request for text, whole or in chunks."""

    request: GenerationRequest
    prompt_tokens: int
    decode: Decode
    answer_tokens: int = 0
    _offset: int = 0
    _id: str = field(default_factory=lambda: uuid.uuid4().hex)
    _created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, pieces: Iterable[TextPiece]) -> Json:
        """The response that is not streamed."""
        everything = list(pieces)
        text = "".join(piece.text for piece in everything)
        tokens = [token for piece in everything for token in piece.tokens]
        self.answer_tokens = len(tokens)
        choice: Json = {
            "index": 0,
            "finish_reason": everything[-1].finish,
            "logprobs": self._logprobs(tokens),
        }
        if self._is_chat:
            choice["message"] = {"role": "assistant", "content": text, "refusal": None}
        else:
            choice["text"] = text
        return self._frame([choice], streamed=False) | {"usage": self._usage()}

    def start(self) -> Iterator[Json]:
        """The chunks before the first text."""
        if self._is_chat:
            yield self._chunk({"delta": {"role": "assistant", "content": ""}})

    def chunks(self, piece: TextPiece) -> Iterator[Json]:
        """The chunks of a piece; after the last one comes the usage, where it is asked for."""
        self.answer_tokens += len(piece.tokens)
        logprobs = self._logprobs(piece.tokens)
        if self._is_chat:
            delta = {"content": piece.text} if piece.text or logprobs else {}
            yield self._chunk({"delta": delta, "finish_reason": piece.finish, "logprobs": logprobs})
        else:
            about = {"finish_reason": piece.finish, "logprobs": logprobs}
            yield self._chunk({"text": piece.text, **about})
        if piece.finish and self._wants_usage:
            yield self._frame([], streamed=True) | {"usage": self._usage()}

    @property
    def _is_chat(self) -> bool:
        return isinstance(self.request, ChatRequest)

    @property
    def _wants_usage(self) -> bool:
        options = self.request.stream_options
        return options is not None and options.include_usage

    def _chunk(self, choice: Json) -> Json:
        full = {"index": 0, "finish_reason": None, "logprobs": None, **choice}
        usage = {"usage": None} if self._wants_usage else {}
        return self._frame([full], streamed=True) | usage

    def _frame(self, choices: list[Json], *, streamed: bool) -> Json:
        if self._is_chat:
            prefix, kind = "chatcmpl", "chat.completion" + (".chunk" if streamed else "")
        else:
            prefix, kind = "cmpl", "text_completion"
        about = {"id": f"{prefix}-{self._id}", "object": kind, "created": self._created}
        return {**about, "model": self.request.model, "choices": choices}

    def _usage(self) -> Json:
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.answer_tokens,
            "total_tokens": self.prompt_tokens + self.answer_tokens,
        }

    def _logprobs(self, tokens: Sequence[Token]) -> Json | None:
        if self.request.top_alternatives is None or not tokens:
            return None
        if self._is_chat:
            return {"content": [_chat_logprob(token, self.decode) for token in tokens]}
        texts = [self.decode([token.id]) for token in tokens]
        offsets = []
        for text in texts:
            offsets.append(self._offset)
            self._offset += len(text)
        tops = [{self.decode([i]): value for i, value in token.top} for token in tokens]
        values = [token.logprob for token in tokens]
        about: Json = {"tokens": texts, "token_logprobs": values, "text_offset": offsets}
        return {**about, "top_logprobs": tops if self.request.top_alternatives else None}


def _chat_logprob(token: Token, decode: Decode) -> Json:
    top = [_one(index, value, decode) for index, value in token.top]
    return {**_one(token.id, token.logprob, decode), "top_logprobs": top}


def _one(index: int, logprob: float | None, decode: Decode) -> Json:
    text = decode([index])
    # Of half a character only the replacement is known, whose bytes would be wrong.
    known = _HALF_CHARACTER not in text
    return {"token": text, "logprob": logprob, "bytes": list(text.encode()) if known else None}


def embeddings(request: EmbeddingRequest, given: EmbeddingInput, vectors: Vectors) -> Json:
    """The response of POST /v1/embeddings; base64 is of little-endian float32."""
    encode = _base64 if request.encoding_format == "base64" else list
    data = [
        {"object": "embedding", "index": index, "embedding": encode(vector)}
        for index, vector in enumerate(vectors.values)
    ]
    tokens = sum(map(len, given.sequences))
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": request.model, "usage": usage}


def _base64(vector: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def images(pictures: Images) -> Json:
    """The response of POST /v1/images/generations."""
    data = [{"b64_json": base64.b64encode(png).decode()} for png in pictures.png]
    return {"created": int(time.time()), "data": data, "output_format": "png"}


def models(name: str, *, created: int, context_length: int | None) -> Json:
    """The response of GET /v1/models; `max_model_len` as vLLM tells it."""
    about = {"id": name, "object": "model", "created": created, "owned_by": "flagscale"}
    return {"object": "list", "data": [{**about, "max_model_len": context_length}]}
