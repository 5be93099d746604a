"""Waiting for what a cluster says."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
POLL_S = 0.5


def wait_for(look: Callable[[], T], until: Callable[[T], bool], *, timeout_s: float) -> T:
    """Look until it satisfies; AssertionError with the last look if it never does."""
    deadline = time.monotonic() + timeout_s
    while True:
        seen = look()
        if until(seen):
            return seen
        if time.monotonic() > deadline:
            msg = f"not reached in {timeout_s} s: {seen}"
            raise AssertionError(msg)
        time.sleep(POLL_S)
