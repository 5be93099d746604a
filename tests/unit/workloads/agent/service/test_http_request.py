import json
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagscale_api.v1alpha1.tool_endpoint import HttpEndpoint
from flagscale_workloads.agent.service.calls.http_request import http_request
from flagscale_workloads.agent.service.errors import ServiceError


def endpoint(**spec: Any) -> HttpEndpoint:
    return HttpEndpoint.model_validate({"url": "https://shop.example.org/v1", **spec})


def test_arguments_go_where_the_tool_says() -> None:
    ship = endpoint(
        url="https://shop.example.org/orders/{number}/shipments",
        method="POST",
        arguments=[
            {"argument": "order", "in": "path", "name": "number"},
            {"argument": "language", "in": "header", "name": "Accept-Language"},
            {"argument": "dry", "in": "query", "name": "dryRun"},
        ],
    )
    sent = http_request(ship, {"order": "A/17", "language": "en", "dry": True, "note": "now"})

    assert sent.url == "https://shop.example.org/orders/A%2F17/shipments"
    assert sent.query == (("dryRun", "true"),)
    assert sent.headers == {"Accept-Language": "en", "Content-Type": "application/json"}
    assert json.loads(sent.body or b"") == {"note": "now"}


def test_what_is_not_listed_goes_to_the_placeholder_else_to_query_or_body() -> None:
    arguments = {"id": 7, "tags": ["a", "b"], "none": None}
    read = http_request(endpoint(url="https://a.example.org/{id}"), arguments)
    assert (read.url, read.body) == ("https://a.example.org/7", None)
    assert read.query == (("tags", "a"), ("tags", "b"))

    written = http_request(endpoint(url="https://a.example.org/{id}", method="PUT"), arguments)
    assert json.loads(written.body or b"") == {"tags": ["a", "b"], "none": None}


def test_one_argument_can_be_the_whole_body() -> None:
    post = endpoint(method="POST", bodyArgument="parcels")
    assert http_request(post, {"parcels": [{"grams": 5}]}).body == b'[{"grams": 5}]'
    assert http_request(post, {}).body is None


@pytest.mark.parametrize("value", ["..", "."])
def test_an_argument_never_steps_out_of_the_path(value: str) -> None:
    with pytest.raises(ServiceError, match=r"arguments\.user: may not be"):
        http_request(endpoint(url="https://a.example.org/users/{user}/mail"), {"user": value})


@given(st.text(max_size=30))
def test_any_text_is_one_segment_of_the_path_or_refused(text: str) -> None:
    try:
        sent = http_request(endpoint(url="https://a.example.org/u/{user}/mail"), {"user": text})
    except (ServiceError, UnicodeEncodeError):
        return
    parts = urlsplit(sent.url).path.split("/")
    assert (parts[1], unquote(parts[2]), parts[3]) == ("u", text, "mail")


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "ü", "x" * 5000])
def test_headers_take_printable_text_only(value: str) -> None:
    read = endpoint(arguments=[{"argument": "language", "in": "header"}])
    with pytest.raises(ServiceError, match=r"arguments\.language: must be"):
        http_request(read, {"language": value})


def test_a_missing_part_of_the_url_is_named() -> None:
    with pytest.raises(ServiceError, match=r"arguments\.id: is needed in the URL"):
        http_request(endpoint(url="https://a.example.org/{id}"), {})
