"""What clients send, after OpenAI; fields that we don't know are ignored as the engines do."""

import json
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from flagscale_workloads.inference.simulator.api_error import ApiError


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class TextPart(_Model):
    """Text in a message; pictures and sound are refused."""

    type: Literal["text"]
    text: str


class Message(_Model):
    """One turn."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[TextPart] | None = None
    tool_calls: list[dict[str, Any]] | None = None

    @property
    def text(self) -> str:
        """All its text, calls of tools included."""
        if isinstance(self.content, list):
            text = "".join(part.text for part in self.content)
        else:
            text = self.content or ""
        return text + (json.dumps(self.tool_calls) if self.tool_calls else "")


class StreamOptions(_Model):
    """What a stream holds besides the text."""

    include_usage: bool = False


class Function(_Model):
    """A function that the model may call."""

    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_.-]{1,64}$")]
    parameters: dict[str, Any] = Field(default_factory=lambda: {"type": "object"})


class Tool(_Model):
    """A tool; only functions exist."""

    type: Literal["function"]
    function: Function


class ChosenFunction(_Model):
    """The name of the function to call."""

    name: str


class ToolChoice(_Model):
    """The tool that must be called."""

    type: Literal["function"]
    function: ChosenFunction


class NamedSchema(_Model):
    """The schema of the answer."""

    name: str = ""
    schema_: dict[str, Any] = Field(alias="schema")


class ResponseFormat(_Model):
    """The form of the answer."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: NamedSchema | None = None

    @model_validator(mode="after")
    def _has_its_schema(self) -> Self:
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise ValueError("json_schema is needed for type json_schema, and for no other")
        return self


Stop = Annotated[str, Field(min_length=1)]


class Sampling(_Model):
    """What chat and completions have in common."""

    model: str
    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    seed: int | None = None
    n: Literal[1] | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=16)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    ignore_eos: bool = False

    @model_validator(mode="after")
    def _stream_options_need_a_stream(self) -> Self:
        if self.stream_options and not self.stream:
            raise ValueError("stream_options is only allowed with stream")
        return self

    @property
    def stops(self) -> list[str]:
        """All stop strings."""
        return [self.stop] if isinstance(self.stop, str) else list(self.stop or ())

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with its usage."""
        return self.stream_options is not None and self.stream_options.include_usage


class ChatRequest(Sampling):
    """POST /v1/chat/completions."""

    messages: list[Message] = Field(min_length=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    logprobs: bool | None = None
    top_logprobs: int = Field(default=0, ge=0, le=20)
    tools: list[Tool] = Field(default_factory=list)
    tool_choice: Literal["none", "auto", "required"] | ToolChoice = "auto"
    response_format: ResponseFormat | None = None

    @model_validator(mode="after")
    def _choice_is_possible(self) -> Self:
        names = {tool.function.name for tool in self.tools}
        if isinstance(self.tool_choice, ToolChoice):
            if self.tool_choice.function.name not in names:
                raise ValueError(f"tool_choice: no such tool, got {self.tool_choice.function.name}")
        elif self.tool_choice == "required" and not names:
            raise ValueError("tool_choice: required needs tools")
        return self


class CompletionRequest(Sampling):
    """POST /v1/completions."""

    prompt: str | Annotated[list[str], Field(min_length=1, max_length=1)]
    logprobs: int | None = Field(default=None, ge=0, le=5)
    echo: Literal[False] | None = None

    @property
    def text(self) -> str:
        """The prompt."""
        return self.prompt if isinstance(self.prompt, str) else self.prompt[0]


Tokens = Annotated[list[int], Field(min_length=1)]


class EmbeddingRequest(_Model):
    """POST /v1/embeddings."""

    model: str
    input: (
        str | Annotated[list[str], Field(min_length=1)] | Tokens
        | Annotated[list[Tokens], Field(min_length=1)]
    )  # fmt: skip
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(default=None, ge=1, le=4096)

    @property
    def texts(self) -> list[str]:
        """The inputs; token numbers stand for words."""
        if isinstance(self.input, str):
            return [self.input]
        if isinstance(self.input[0], int):
            return [" ".join(map(str, self.input))]
        return [i if isinstance(i, str) else " ".join(map(str, i)) for i in self.input]


class Document(_Model):
    """A document as an object."""

    text: str


class RerankRequest(_Model):
    """POST /v1/rerank, after Jina and Cohere."""

    model: str
    query: str
    documents: list[str | Document] = Field(min_length=1)
    top_n: int | None = Field(default=None, ge=1)
    return_documents: bool = True

    @property
    def texts(self) -> list[str]:
        """The documents."""
        return [d if isinstance(d, str) else d.text for d in self.documents]


Parsed = TypeVar("Parsed", bound=BaseModel)


def parse(model: type[Parsed], body: bytes) -> Parsed:
    """The request in a body; ApiError 400 that names the first field that is wrong."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
    param = ".".join(map(str, first["loc"]))
    if first["type"] == "json_invalid":
        raise ApiError(400, f"body: not JSON ({first['msg']})")
    raise ApiError(400, f"{param or 'body'}: {first['msg']}", param=param or None)
