"""From arguments to the HTTP request of a tool (pure)."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlsplit

from flagscale_api.v1alpha1.tool_endpoint import BODILESS, HttpEndpoint
from flagscale_workloads.agent.service.errors import ServiceError

_PLACEHOLDER: Final = re.compile(r"\{([^{}]+)\}")
_HEADER_VALUE: Final = re.compile(r"^[\x20-\x7e]{0,4096}$")
_DOTS: Final = frozenset({".", ".."})


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """What is sent."""

    method: str
    url: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


def http_request(endpoint: HttpEndpoint, arguments: Mapping[str, Any]) -> HttpRequest:
    """Every argument in its place. Raises ServiceError 422 that names the argument."""
    known = {one.argument: one for one in endpoint.arguments}
    places: dict[str, dict[str, Any]] = {"path": {}, "query": {}, "header": {}, "body": {}}
    for argument, value in arguments.items():
        own = known.get(argument)
        if own:
            places[own.place][own.wire_name] = value
        elif argument != endpoint.body_argument:
            places[_default_place(endpoint, argument)][argument] = value
    body = _body(endpoint, places["body"], arguments)
    headers = {name: _header(name, value) for name, value in places["header"].items()}
    if body is not None:
        headers["Content-Type"] = "application/json"
    return HttpRequest(
        endpoint.method,
        _url(endpoint.url, places["path"]),
        tuple(_query(places["query"])),
        headers,
        body,
    )


def _default_place(endpoint: HttpEndpoint, argument: str) -> str:
    if argument in endpoint.placeholders:
        return "path"
    return "query" if endpoint.method in BODILESS else "body"


def _url(template: str, values: Mapping[str, Any]) -> str:
    def filled(found: re.Match[str]) -> str:
        name = found[1]
        if values.get(name) is None:
            raise _bad(name, "is needed in the URL; give it")
        return quote(_text(values[name]), safe="")

    url = _PLACEHOLDER.sub(filled, template)
    before = urlsplit(template).path.split("/")
    for own, was in zip(urlsplit(url).path.split("/"), before, strict=True):
        # A segment that only an argument has made a step upwards would leave the path.
        if own in _DOTS and own != was:
            raise _bad(was.strip("{}"), "may not be '.' or '..' in a URL; give another value")
    return url


def _query(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (name, _text(one))
        for name, value in values.items()
        for one in (value if isinstance(value, list) else [value])
        if one is not None
    ]


def _header(name: str, value: Any) -> str:  # noqa: ANN401 - any JSON
    text = _text(value)
    if not _HEADER_VALUE.match(text):
        raise _bad(name, "must be at most 4096 printable ASCII characters in a header")
    return text


def _body(
    endpoint: HttpEndpoint, members: Mapping[str, Any], arguments: Mapping[str, Any]
) -> bytes | None:
    if endpoint.body_argument:
        if endpoint.body_argument not in arguments:
            return None
        return json.dumps(arguments[endpoint.body_argument]).encode()
    if endpoint.method in BODILESS:
        return None
    return json.dumps(members).encode()


def _text(value: Any) -> str:  # noqa: ANN401 - any JSON
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _bad(argument: str, why: str) -> ServiceError:
    return ServiceError(422, "invalid_arguments", f"arguments.{argument}: {why}")
