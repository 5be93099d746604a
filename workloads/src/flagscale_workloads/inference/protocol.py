"""Requests of OpenAI's HTTP, as far as this engine answers them; all sizes are bounded."""

from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from flagscale_workloads.inference.errors import RequestError

MAX_TEXT: Final = 1 << 20
MAX_TOKENS: Final = 1 << 20
MAX_INPUTS: Final = 2048
MAX_IMAGES: Final = 10
MAX_IMAGE_SIDE: Final = 4096

Text = Annotated[str, StringConstraints(max_length=MAX_TEXT)]
TokenIds = Annotated[
    list[Annotated[int, Field(strict=True, ge=0)]], Field(min_length=1, max_length=MAX_TOKENS)
]
StopText = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Seed = Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)]
R = TypeVar("R", bound="Request")


class Request(BaseModel):
    """What all requests have; a field that nothing here honours is refused, not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Annotated[str, StringConstraints(min_length=1, max_length=253)]
    user: Annotated[str, StringConstraints(max_length=512)] | None = None


class StreamOptions(BaseModel):
    """How to stream."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    include_usage: bool = False


class GenerationRequest(Request):
    """Sampling, as chat and completions share it; `top_k` and `ignore_eos` are extensions."""

    max_tokens: Annotated[int, Field(ge=1, le=MAX_TOKENS)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1)] | None = None
    seed: Seed | None = None
    stop: StopText | Annotated[list[StopText], Field(max_length=4)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    ignore_eos: bool = False
    # One value each: what else OpenAI would take is refused by name instead of as unknown.
    n: Literal[1] | None = None
    frequency_penalty: Literal[0] | None = None
    presence_penalty: Literal[0] | None = None
    logit_bias: Annotated[dict[str, float], Field(max_length=0)] | None = None

    @property
    def stop_texts(self) -> tuple[str, ...]:
        """The texts that end the answer."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def answer_tokens(self) -> int | None:
        """The asked length of the answer."""
        return self.max_tokens

    @property
    def top_alternatives(self) -> int | None:
        """Most likely tokens to tell at each place; None: no probabilities at all."""
        return None

    @property
    def schema_of_answer(self) -> dict[str, Any] | None:
        """What the answer must follow; None: any text."""
        return None


class TextPart(BaseModel):
    """A part of a message; other than text there is none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["text"]
    text: Text


class Message(BaseModel):
    """One turn of a conversation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: Literal["system", "developer", "user", "assistant"]
    content: Text | Annotated[list[TextPart], Field(min_length=1, max_length=256)]
    name: Annotated[str, StringConstraints(max_length=64)] | None = None

    @property
    def text(self) -> str:
        """The content as one text."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content)


class PlainText(BaseModel):
    """An answer in any form."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["text"]

    @property
    def schema_of_answer(self) -> dict[str, Any] | None:
        """None: any text."""
        return None


class AnyObject(BaseModel):
    """Some JSON object."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["json_object"]

    @property
    def schema_of_answer(self) -> dict[str, Any]:
        """That of all objects."""
        return {"type": "object"}


class NamedSchema(BaseModel):
    """A schema with the name that the client gave it; it is always kept to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: Text | None = None
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None


class SchemaForm(BaseModel):
    """JSON by a schema."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["json_schema"]
    json_schema: NamedSchema

    @property
    def schema_of_answer(self) -> dict[str, Any]:
        """The client's own."""
        return self.json_schema.schema_


class ChatRequest(GenerationRequest):
    """POST /v1/chat/completions."""

    messages: Annotated[list[Message], Field(min_length=1, max_length=1024)]
    max_completion_tokens: Annotated[int, Field(ge=1, le=MAX_TOKENS)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    response_format: (
        Annotated[PlainText | AnyObject | SchemaForm, Field(discriminator="type")] | None
    ) = None

    @property
    def answer_tokens(self) -> int | None:
        """The asked length of the answer."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def top_alternatives(self) -> int | None:
        """Most likely tokens to tell at each place."""
        return (self.top_logprobs or 0) if self.logprobs else None

    @property
    def schema_of_answer(self) -> dict[str, Any] | None:
        """What the answer must follow; None: any text."""
        return self.response_format.schema_of_answer if self.response_format else None


class CompletionRequest(GenerationRequest):
    """POST /v1/completions."""

    prompt: Text | TokenIds | Annotated[list[Text], Field(min_length=1, max_length=1)]
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    best_of: Literal[1] | None = None
    echo: Literal[False] | None = None

    @property
    def answer_tokens(self) -> int | None:
        """The asked length of the answer; OpenAI's own default is 16."""
        return self.max_tokens or 16

    @property
    def top_alternatives(self) -> int | None:
        """Most likely tokens to tell at each place."""
        return self.logprobs


class EmbeddingRequest(Request):
    """POST /v1/embeddings."""

    input: (
        Text
        | TokenIds
        | Annotated[list[Text] | list[TokenIds], Field(min_length=1, max_length=MAX_INPUTS)]
    )
    encoding_format: Literal["float", "base64"] = "float"

    @property
    def inputs(self) -> list[str | list[int]]:
        """The texts, or their tokens."""
        given: Any = self.input
        single = isinstance(given, str) or isinstance(given[0], int)
        return [given] if single else list(given)


class ImageRequest(Request):
    """POST /v1/images/generations; `seed`, `steps` and `guidance` are extensions."""

    prompt: Annotated[str, StringConstraints(min_length=1, max_length=32_768)]
    n: Annotated[int, Field(ge=1, le=MAX_IMAGES)] = 1
    size: Annotated[str, StringConstraints(pattern=r"^[1-9]\d{0,3}x[1-9]\d{0,3}$")] | None = None
    response_format: Literal["b64_json"] = "b64_json"
    seed: Annotated[int, Field(ge=0, lt=1 << 62)] | None = None
    steps: Annotated[int, Field(ge=1, le=1000)] | None = None
    guidance: Annotated[float, Field(ge=0, le=100)] | None = None

    @property
    def width_and_height(self) -> tuple[int, int] | None:
        """Pixels."""
        if self.size is None:
            return None
        width, height = self.size.split("x")
        return int(width), int(height)


def parse(kind: type[R], body: bytes) -> R:
    """A request from its JSON. Raises RequestError naming the first field that is wrong."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        raise RequestError(f"body: not valid JSON; {first['msg']}", code="invalid_json")
    where = ".".join(str(part) for part in first["loc"]) or "body"
    unknown = first["type"] == "extra_forbidden"
    reason = "not supported by this engine; remove it" if unknown else first["msg"]
    raise RequestError(f"{where}: {reason}", param=where, code="invalid_value")
