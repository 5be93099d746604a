"""The load as it is known: nothing while nobody tells it, and never a moment's noise."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flagscale_operator.progress.load_board import GATEWAYS, LoadBoard, LoadReport

KEY = ("ns", "svc")


class World:
    def __init__(self, **limits: int) -> None:
        self.now_s = 1000.0
        self.woken: list[tuple[str, str]] = []
        self.board = LoadBoard(
            on_change=lambda *key: self.woken.append(key), clock=lambda: self.now_s, **limits
        )

    def tell(self, requests: float, waiting: int = 0, gateway: str = "g", after: float = 1) -> None:
        self.now_s += after
        self.board.put(*KEY, gateway=gateway, report=LoadReport(requests, waiting))

    def requests(self) -> float | None:
        fact = self.board.newest(*KEY)
        return fact.requests if fact else None


def test_silence_is_not_zero() -> None:
    world = World()
    assert world.requests() is None
    world.tell(3)
    assert world.requests() == 3
    world.now_s += 14
    assert world.requests() == 3
    world.now_s += 2
    assert world.requests() is None


def test_the_load_is_a_mean_over_the_last_seconds_and_a_sum_over_gateways() -> None:
    world = World()
    for requests in (0, 100, 2, 4, 6, 8):
        world.tell(requests, after=1.3)
    assert world.requests() == pytest.approx(5)
    world.tell(10, gateway="h", after=0)
    assert world.requests() == pytest.approx(15)


def test_a_gateway_that_is_gone_counts_no_longer() -> None:
    world = World()
    world.tell(7, gateway="old")
    for _ in range(20):
        world.tell(1, gateway="new")
    assert world.requests() == 1


def test_idle_begins_with_the_first_report_and_anew_after_a_silence() -> None:
    world = World()
    for requests, after, idle_s in ((0, 1, 0), (0, 5, 5), (2, 1, 0), (0, 1, 1), (0, 60, 0)):
        world.tell(requests, after=after)
        fact = world.board.newest(*KEY)
        assert fact is not None
        assert fact.idle_s == idle_s


def test_a_service_is_looked_at_when_it_gets_busy_idle_or_waited_for() -> None:
    world = World()
    for requests, waiting in ((0, 0), (0, 0), (2, 0), (3, 0), (3, 1), (2, 2), (2, 0), (0, 0)):
        world.tell(requests, waiting)
    assert len(world.woken) == 5


def test_what_is_kept_is_bounded() -> None:
    world = World(capacity=2)
    for name in "abc":
        world.board.put("ns", name, gateway="g", report=LoadReport(1, 0))
    for number in range(GATEWAYS + 9):
        world.board.put("ns", "c", gateway=str(number), report=LoadReport(1, 0))

    assert world.board.newest("ns", "a") is None
    fact = world.board.newest("ns", "c")
    assert fact is not None
    assert fact.requests == GATEWAYS


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0.1, 14)), min_size=1, max_size=30))
def test_a_mean_lies_between_what_was_told(told: list[tuple[float, float]]) -> None:
    world = World()
    for requests, after in told:
        world.tell(requests, after=after)
    known = world.requests()
    values = [requests for requests, _ in told]
    assert known is not None
    assert min(values) - 1e-6 <= known <= max(values) + 1e-6
