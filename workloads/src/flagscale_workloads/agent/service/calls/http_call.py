"""A call of a tool that is an HTTP operation."""

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

import httpx2

from flagscale_api.v1alpha1.tool_endpoint import HttpEndpoint
from flagscale_workloads.agent.service.calls.egress import EgressTransport
from flagscale_workloads.agent.service.calls.http_request import HttpRequest, http_request
from flagscale_workloads.agent.service.errors import ServiceError
from flagscale_workloads.agent.service.outcome import Outcome

REDIRECTS: Final = 3
ERROR: Final = 400
_TEXTS: Final = ("text/", "application/json", "application/xml", "application/yaml")


async def call_http(
    endpoint: HttpEndpoint,
    arguments: Mapping[str, Any],
    *,
    headers: Mapping[str, str],
    transport: EgressTransport,
    timeout_s: float,
) -> Outcome:
    """One request and its answer. Raises ServiceError."""
    request = http_request(endpoint, arguments)
    client = httpx2.AsyncClient(transport=transport, timeout=timeout_s, trust_env=False)
    try:
        async with client:
            return _outcome(await _answer(client, request, headers))
    except httpx2.TimeoutException as error:
        message = f"tool: no answer within {timeout_s:g} s; see spec.timeoutSeconds"
        raise ServiceError(504, "timeout", message) from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        message = f"tool: its answer broke off ({type(error).__name__}: {error}); look at it"
        raise ServiceError(502, "tool_failed", message, retryable=True) from error


async def _answer(
    client: httpx2.AsyncClient, request: HttpRequest, headers: Mapping[str, str]
) -> httpx2.Response:
    """Follows redirects within the host alone: credentials and arguments are for that host."""
    sent = client.build_request(
        request.method,
        _with_query(request),
        headers={"Accept": "application/json, text/*", **headers, **request.headers},
        content=request.body,
    )
    for _ in range(REDIRECTS + 1):
        response = await client.send(sent)
        following = response.next_request
        if following is None:
            return response
        if _origin(following.url) != _origin(sent.url):
            message = (
                f"tool: redirects to {following.url.host}, another host, which is not followed; "
                "correct its URL"
            )
            raise ServiceError(502, "redirect_refused", message)
        sent = following
    message = f"tool: redirects more than {REDIRECTS} times; correct its URL"
    raise ServiceError(502, "redirect_refused", message)


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _with_query(request: HttpRequest) -> str:
    if not request.query:
        return request.url
    return f"{request.url}{'&' if '?' in request.url else '?'}{urlencode(request.query)}"


def _outcome(response: httpx2.Response) -> Outcome:
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_json = kind == "application/json" or kind.endswith("+json")
    if response.content and not (is_json or kind.startswith(_TEXTS) or kind == ""):
        message = f"tool: answers with {kind[:80]}, which is no text; models can't read it"
        raise ServiceError(502, "bad_answer", message)
    text = response.content.decode(errors="replace")
    structured = None
    if is_json and response.content:
        try:
            structured = json.loads(response.content)
        except ValueError as error:
            message = "tool: says that it answers in JSON, and does not; look at it"
            raise ServiceError(502, "bad_answer", message) from error
    return Outcome(
        is_error=response.status_code >= ERROR,
        text=text,
        structured=structured,
        status=response.status_code,
    )
