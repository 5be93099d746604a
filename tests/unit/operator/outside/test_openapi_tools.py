"""Operations of OpenAPI documents as tools."""

import json
from contextlib import suppress
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from flagscale_api.v1alpha1.tool_endpoint import HttpArgument
from flagscale_operator.outside.addresses import OutsideError
from flagscale_operator.outside.openapi_tools import list_openapi_tools
from flagscale_operator.outside.remote_tools import Listing, RemoteTool

URL = "https://shop.example.org/api/openapi.json"
ORDER = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
PARCEL = {
    "type": "object",
    "required": ["grams"],
    "properties": {
        "grams": {"type": "integer", "minimum": 0, "exclusiveMinimum": True},
        "note": {"type": "string", "nullable": True, "example": "fragile"},
        "inner": {"$ref": "#/components/schemas/Parcel"},
    },
}


def document(paths: dict[str, Any], version: str = "3.0.3", **more: Any) -> dict[str, Any]:
    info = {"title": "Shop", "version": "2"}
    schemas = {"schemas": {"Parcel": PARCEL}}
    return {"openapi": version, "info": info, "paths": paths, "components": schemas, **more}


def listed(body: Any, url: str = URL) -> Listing:
    return list_openapi_tools(json.dumps(body).encode(), url=url, server_url=None)


def operation(method: str = "get", path: str = "/orders/{id}", **said: Any) -> RemoteTool:
    """The only tool."""
    body = {"operationId": "op", "responses": {"200": {"description": "ok"}}, **said}
    (found,) = listed(document({path: {method: body}})).tools
    return found


def body_of(schema: dict[str, Any], *, required: bool = True) -> dict[str, Any]:
    return {"requestBody": {"required": required, "content": {"application/json": schema}}}


def schema_of(tool: RemoteTool) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(tool.parameters)
    jsonschema.Draft202012Validator.check_schema(schema)
    return schema


def test_parameters_go_where_the_document_says() -> None:
    query = {"name": "limit", "in": "query", "schema": {"type": "integer"}, "description": "Most."}
    header = {"name": "X-Team", "in": "header", "required": True, "schema": {"type": "string"}}
    tool = operation(parameters=[ORDER, query, header], summary="List.", description="Lists.")
    assert schema_of(tool) == {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "limit": {"type": "integer", "description": "Most."},
            "X-Team": {"type": "string"},
        },
        "required": ["id", "X-Team"],
    }
    assert tool.http
    assert (tool.http.url, tool.http.method) == ("https://shop.example.org/orders/{id}", "GET")
    assert [(a.argument, a.place) for a in tool.http.arguments] == [("X-Team", "header")]
    assert (tool.description, tool.idempotent) == ("Lists.", True)


def test_members_of_a_body_are_arguments_and_schemas_need_no_other_document() -> None:
    reference = {"schema": {"$ref": "#/components/schemas/Parcel"}}
    tool = operation("post", parameters=[ORDER], **body_of(reference))
    schema = schema_of(tool)
    assert list(schema["properties"]) == ["grams", "id", "inner", "note"]
    assert sorted(schema["required"]) == ["grams", "id"]
    assert schema["properties"]["grams"] == {"type": "integer", "exclusiveMinimum": 0}
    assert schema["properties"]["note"] == {"type": ["string", "null"]}
    assert schema["properties"]["inner"] == {"$ref": "#/$defs/Parcel"}
    assert schema["$defs"]["Parcel"]["properties"]["inner"] == {"$ref": "#/$defs/Parcel"}
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid({"id": "A", "grams": 1, "inner": {"grams": 2, "note": None}})
    assert not validator.is_valid({"id": "A", "grams": 1, "inner": {"grams": 0}})
    assert tool.http
    assert (tool.http.arguments, tool.http.body_argument) == ([], None)
    assert tool.idempotent is False


def test_a_body_that_is_no_object_is_one_argument() -> None:
    schema = {"schema": {"type": "array", "items": {"type": "string"}}}
    tool = operation("put", parameters=[ORDER], **body_of(schema))
    assert schema_of(tool)["properties"]["body"]["type"] == "array"
    assert tool.http
    assert (tool.http.body_argument, tool.idempotent) == ("body", True)


def test_arguments_of_one_name_are_told_apart() -> None:
    schema = {"schema": {"type": "object", "properties": {"id": {"type": "integer"}}}}
    tool = operation("post", parameters=[ORDER], **body_of(schema))
    assert schema_of(tool)["properties"] == {
        "id": {"type": "string"},
        "body_id": {"type": "integer"},
    }
    assert tool.http
    expected = HttpArgument.model_validate({"argument": "body_id", "in": "body", "name": "id"})
    assert tool.http.arguments == [expected]


def test_an_operation_overrides_the_parameters_of_its_path() -> None:
    own = {**ORDER, "schema": {"type": "integer"}}
    body = {"operationId": "op", "parameters": [own], "responses": {"200": {"description": ""}}}
    (tool,) = listed(document({"/orders/{id}": {"parameters": [ORDER], "get": body}})).tools
    assert schema_of(tool)["properties"]["id"] == {"type": "integer"}


def test_shared_parameters_are_found_by_reference() -> None:
    found = document({"/orders/{id}": {"get": {
        "parameters": [{"$ref": "#/components/parameters/Order"}],
        "responses": {"200": {"description": ""}},
    }}})  # fmt: skip
    found["components"]["parameters"] = {"Order": ORDER}
    (tool,) = listed(found).tools
    assert tool.name == "get_orders/{id}"
    assert schema_of(tool)["required"] == ["id"]


def test_parameters_without_a_meaning_are_left_out() -> None:
    accept = {"name": "Accept", "in": "header", "required": True, "schema": {"type": "string"}}
    cookie = {"name": "session", "in": "cookie", "schema": {"type": "string"}}
    tool = operation(parameters=[ORDER, accept, cookie])
    assert list(schema_of(tool)["properties"]) == ["id"]


@pytest.mark.parametrize(
    ("method", "said", "why"),
    [
        ("get", {}, "has id in its path, and no such parameter"),
        (
            "get",
            {"parameters": [ORDER, {"name": "s", "in": "cookie", "required": True,
                                    "schema": {"type": "string"}}]},
            "needs parameter s in cookie",
        ),
        (
            "get",
            {"parameters": [ORDER, {"name": "s", "in": "query", "required": True,
                                    "style": "deepObject", "schema": {"type": "object"}}]},
            "needs parameter s in query",
        ),
        (
            "post",
            {"parameters": [ORDER], "requestBody": {"required": True, "content": {
                "multipart/form-data": {"schema": {"type": "object"}}}}},
            "needs a body that is not JSON but multipart/form-data",
        ),
        ("get", {"parameters": [{"$ref": "https://evil/x"}]}, "refers to another document"),
        ("get", {"parameters": [{"$ref": "#/components/schemas/no"}]}, "has id in its path"),
        (
            "post",
            {"parameters": [ORDER], **body_of({"schema": {
                "type": "object", "properties": {"a": {"$ref": "file:///etc/passwd"}}}})},
            "refers to file:///etc/passwd",
        ),
    ],
)  # fmt: skip
def test_what_calls_can_not_do_is_told(method: str, said: dict[str, Any], why: str) -> None:
    body = {"operationId": "op", "responses": {"200": {"description": ""}}, **said}
    listing = listed(document({"/orders/{id}": {method: body}}))
    assert listing.tools == ()
    ((name, told),) = listing.refused
    assert name == "op"
    assert why in told


def test_two_operations_of_one_name_are_both_left_out() -> None:
    body = {"operationId": "op", "responses": {"200": {"description": ""}}}
    listing = listed(document({"/a": {"get": body}, "/b": {"get": body}}))
    assert (listing.tools, [name for name, _ in listing.refused]) == ((), ["op"])


@pytest.mark.parametrize(
    ("servers", "base"),
    [
        ([], "https://shop.example.org/orders/{id}"),
        ([{"url": "/v1"}], "https://shop.example.org/v1/orders/{id}"),
        ([{"url": "../v2/"}], "https://shop.example.org/v2/orders/{id}"),
        (
            [{"url": "https://{env}.example.org", "variables": {"env": {"default": "api"}}}],
            "https://api.example.org/orders/{id}",
        ),
    ],
)
def test_the_server_is_relative_to_the_document(servers: list[Any], base: str) -> None:
    body = {"parameters": [ORDER], "responses": {"200": {"description": ""}}}
    (tool,) = listed(document({"/orders/{id}": {"get": body}}, servers=servers)).tools
    assert tool.http
    assert tool.http.url == base


BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "\n".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join([f'*{chr(97 + i)}'] * 10)}]" for i in range(8)
)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "must be an object, got NoneType"),
        (b"[]", "must be an object, got list"),
        (b"{", "neither JSON nor YAML"),
        (b"\xff\xfe\x00", "neither JSON nor YAML"),
        (b"a: !!python/object/apply:os.system [ls]", "neither JSON nor YAML"),
        (b"[" * 100_000, "nested"),
        (b'{"a":' * 100_000, "nested"),
        (b"- " * 100_000, "nested more than 128 deep"),
        (BOMB.encode(), "more than 500000 values"),
        (b'{"openapi": "2.0"}', "does not match any of the expected tags"),
        (b'{"swagger": "2.0"}', "openapi"),
        (b'{"openapi": "3.1.0"}', "info: Field required"),
        (json.dumps(document({"/x": {"get": {"operationId": 5}}})).encode(), "operationId"),
    ],
)
def test_what_is_no_document_is_told(text: bytes, why: str) -> None:
    with pytest.raises(OutsideError) as caught:
        list_openapi_tools(text, url=URL, server_url=None)
    assert caught.value.reason == "InvalidDocument"
    assert why in caught.value.message
    assert len(caught.value.message) < 700


def test_yaml_says_the_same_as_json() -> None:
    body = document({"/orders/{id}": {"get": {"parameters": [ORDER], "responses": {}}}})
    as_yaml = list_openapi_tools(yaml.safe_dump(body).encode(), url=URL, server_url=None)
    assert as_yaml == listed(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["type", "properties", "$ref", "schema", "name", "in", "content",
                         "application/json", "allOf", "nullable", "required", "enum"]),
        inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(json_values, json_values)
def test_no_document_ends_the_process(parameters: Any, request_body: Any) -> None:
    body = {"parameters": parameters, "requestBody": request_body, "responses": {}}
    with suppress(OutsideError):
        listing = listed(document({"/orders/{id}": {"post": body}}, version="3.1.0"))
        assert len(listing.tools) + len(listing.refused) == 1
