"""Images are built and delivered beside each other."""

from threading import Event

import pytest

from support.images.pipeline import pipelined

LONG_S = 10


def test_the_next_is_built_while_one_is_delivered() -> None:
    building = {n: Event() for n in range(3)}
    delivered: list[int] = []

    def build(item: int) -> int:
        building[item].set()
        return item

    def deliver(item: int) -> None:
        assert item == 2 or building[item + 1].wait(LONG_S)
        delivered.append(item)

    for built in pipelined(range(3), build, deliver):
        assert delivered == list(range(built + 1))
    assert delivered == [0, 1, 2]


def test_a_failed_delivery_ends_it_after_the_build_that_runs() -> None:
    built: list[int] = []

    def build(item: int) -> int:
        built.append(item)
        return item

    def deliver(item: int) -> None:
        raise OSError(item)

    with pytest.raises(OSError, match="0"):
        list(pipelined(range(9), build, deliver))
    assert built == [0, 1]


def test_what_can_not_be_built_is_told() -> None:
    with pytest.raises(ZeroDivisionError):
        list(pipelined([1, 0], lambda n: 1 // n, lambda _: None))
