from typing import Any

import pytest

from flagscale_operator.kinds.fingerprint import fingerprint, still_says


def test_the_order_of_keys_does_not_matter() -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})


@pytest.mark.parametrize(
    ("stored", "applied", "same"),
    [
        ({"a": 1, "added": 2}, {"a": 1}, True),
        ({"a": [{"b": 1, "added": 2}]}, {"a": [{"b": 1}]}, True),
        ({"a": 2}, {"a": 1}, False),
        ({}, {"a": 1}, False),
        ({}, {"a": {}}, True),
        ({"a": [1, 2]}, {"a": [1]}, False),
        ({"a": "x"}, {"a": {"b": 1}}, False),
        ({"resources": {"cpu": "500m"}}, {"resources": {"cpu": "0.5"}}, True),
    ],
)
def test_what_was_applied_is_stored_whatever_was_added(
    stored: Any, applied: Any, *, same: bool
) -> None:
    assert still_says(stored, applied) is same
