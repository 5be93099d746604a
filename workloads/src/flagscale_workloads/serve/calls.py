"""From a client's request to a call: parsed once, checked, and turned into what engines get."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal

import orjson

from flagscale_workloads.backends.adapter import Feature
from flagscale_workloads.serve.demands import check_demands
from flagscale_workloads.serve.forward import Call
from flagscale_workloads.serve.http.messages import HttpError
from flagscale_workloads.serve.media import check_media
from flagscale_workloads.serve.policies import RouteKey
from flagscale_workloads.serve.prefix_index import PROMPT_LIMIT_CHARACTERS, block_hashes

# The feature behind each endpoint, and the fields that it can't do without.
ENDPOINTS: Final[Mapping[str, tuple[Feature, tuple[str, ...]]]] = MappingProxyType(
    {
        "/v1/chat/completions": ("chat", ("messages",)),
        "/v1/completions": ("completions", ("prompt",)),
        "/v1/embeddings": ("embeddings", ("input",)),
        "/v1/rerank": ("rerank", ("query", "documents")),
        "/v1/responses": ("responses", ("input",)),
        "/v1/images/generations": ("images", ("prompt",)),
    }
)
FORWARDED: Final = (b"traceparent", b"tracestate", b"x-request-id")
Hashed = Literal["session", "prompt", "nothing"]


def endpoints_of(features: Collection[Feature]) -> frozenset[str]:
    """The paths that an engine with these features answers."""
    return frozenset(path for path, (feature, _) in ENDPOINTS.items() if feature in features)


@dataclass(frozen=True, slots=True)
class CallReader:
    """Reads requests for one served model."""

    model: str
    features: frozenset[Feature]
    """What the engine can do for clients."""
    hashed: Hashed
    """What routing needs to know of a request."""
    hash_header: bytes

    def read(self, endpoint: str, headers: dict[bytes, bytes], body: bytes, *, now: float) -> Call:
        """The call. Raises HttpError 400 or 404 naming the field."""
        document = parse_object(body)
        self._check(endpoint, document)
        if "model" not in document:
            document["model"] = self.model
            body = orjson.dumps(document)
        return Call(_engine_request(endpoint, headers, body), self._key(headers, document), now)

    def _check(self, endpoint: str, document: dict[str, Any]) -> None:
        model = document.get("model", self.model)
        if not isinstance(model, str):
            raise invalid("model", "must be a string", model)
        if model != self.model:
            message = f"model: not served here, got {model[:100]!r}; use {self.model!r}"
            raise HttpError(404, "model_not_found", message, "model")
        if not isinstance(document.get("stream", False), bool | None):
            raise invalid("stream", "must be true or false", document["stream"])
        for field in ENDPOINTS[endpoint][1]:
            if field not in document:
                raise HttpError(400, "missing_field", f"{field}: is missing; give it", field)
        if endpoint == "/v1/chat/completions":
            _check_messages(document["messages"])
        check_demands(document, self.features, self.model)
        check_media(document, remote="media_urls" in self.features)

    def _key(self, headers: dict[bytes, bytes], document: dict[str, Any]) -> RouteKey:
        if self.hashed == "nothing":
            return RouteKey()
        session = headers.get(self.hash_header, b"") if self.hashed == "session" else b""
        if session:
            return RouteKey(session=session.decode("latin-1"))
        return RouteKey(blocks=block_hashes(prompt_text(document)))


def parse_object(body: bytes) -> dict[str, Any]:
    """A JSON object. Raises HttpError 400."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise HttpError(
            400, "invalid_json", f"body: not valid JSON ({error}); correct it"
        ) from None
    if not isinstance(document, dict):
        raise HttpError(400, "invalid_json", "body: not a JSON object; send one")
    return document


def invalid(field: str, what: str, value: object) -> HttpError:
    """A refusal that names field and value."""
    shown = repr(value)[:100]
    return HttpError(400, "invalid_value", f"{field}: {what}, got {shown}; correct it", field)


def _check_messages(messages: object) -> None:
    if not isinstance(messages, list) or not messages:
        raise invalid("messages", "must be a list with at least one message", messages)
    for number, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise invalid(f"messages.{number}", "must be an object with a role", message)


def prompt_text(document: dict[str, Any]) -> str:
    """The beginning of what the engine will read, as far as routing looks at it."""
    if "messages" in document:
        parts: list[str] = []
        size = 0
        for message in document["messages"]:
            text = _content_text(message.get("content"))
            parts += (message["role"], "\n", text, "\n")
            size += len(text)
            if size > PROMPT_LIMIT_CHARACTERS:
                break
        return "".join(parts)
    prompt = document.get("prompt", document.get("input", ""))
    return prompt if isinstance(prompt, str) else ""


def _content_text(content: object) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = (part.get("text") for part in content if isinstance(part, dict))
    return "".join(text for text in texts if isinstance(text, str))


def _engine_request(endpoint: str, headers: dict[bytes, bytes], body: bytes) -> bytes:
    """Nothing of the client's head passes but what traces it: keys and cookies stay here."""
    lines = [
        b"POST " + endpoint.encode() + b" HTTP/1.1",
        b"host: engine",
        b"content-type: application/json",
        b"content-length: %d" % len(body),
    ]
    lines += [name + b": " + headers[name] for name in FORWARDED if name in headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
