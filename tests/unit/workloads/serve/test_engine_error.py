import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from flagscale_workloads.serve.engine_error import error_answer
from flagscale_workloads.serve.http.upstream import ResponseHead
from flagscale_workloads.serve.openapi import document

SCHEMA = document("m", (), keys=False)["components"]["schemas"]["Error"]


def told(status: int, body: bytes, **headers: bytes) -> tuple[dict[str, Any], dict[bytes, bytes]]:
    names = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    answer, further = error_answer(ResponseHead(status, names), body)
    return json.loads(answer)["error"], dict(further)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error": {"message": "too long", "code": 400}}', "too long"),
        (b'{"object": "error", "message": "too long", "code": 400}', "too long"),
        (b'{"detail": "too long"}', "too long"),
        (b'{"detail": [{"loc": ["body", "n"]}]}', '[{"loc":["body","n"]}]'),
        (b'{"error": "too long"}', "too long"),
        (b"Internal Server Error", "engine: answered with status 400 only; see its log"),
        (
            json.dumps(
                {"message": 'Traceback (most recent call last):\n  File "x"\nE: y'}
            ).encode(),
            "E: y",
        ),
    ],
)
def test_each_shape_of_an_engines_error_is_told_in_openais(body: bytes, message: str) -> None:
    error, headers = told(400, body)

    assert (error["message"], error["type"]) == (message, "invalid_request_error")
    assert headers == {}


def test_who_is_refused_for_lack_of_room_is_told_when_to_come_back() -> None:
    assert told(429, b"", retry_after=b"7")[1] == {b"retry-after": b"7"}
    assert told(503, b"")[1] == {b"retry-after": b"1"}


@given(st.binary() | st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["error", "message", "type", "param", "code", "detail"]), inner),
).map(lambda value: json.dumps(value).encode()), st.integers(400, 599))  # fmt: skip
def test_whatever_an_engine_says_fits_the_schema(body: bytes, status: int) -> None:
    Draft202012Validator(SCHEMA).validate({"error": told(status, body)[0]})
