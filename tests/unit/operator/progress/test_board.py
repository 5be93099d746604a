from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from flagscale_api.v1alpha1.train_job_status import Checkpoint
from flagscale_operator.kinds.train_job.facts import ProgressFact
from flagscale_operator.progress.board import ProgressBoard, Timer
from flagscale_operator.progress.protocol import Refused, Report

T0 = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Call:
    due: datetime
    callback: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


class World:
    """A board with a clock and timers in the test's hands."""

    def __init__(self, capacity: int = 100) -> None:
        self.now = T0
        self.told: list[str] = []
        self.timers: list[Call] = []
        self.board = ProgressBoard(
            on_change=lambda _, name: self.told.append(name),
            clock=lambda: self.now,
            later=self._later,
            capacity=capacity,
        )

    def _later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        self.timers.append(Call(self.now + timedelta(seconds=seconds), callback))
        return self.timers[-1]

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        due = [t for t in self.timers if t.due <= self.now and not t.cancelled]
        self.timers = [t for t in self.timers if t.due > self.now]
        for timer in due:
            timer.callback()

    def put(
        self,
        step: int | None = None,
        *,
        percent: int | None = None,
        checkpoint: int | None = None,
        attempt: int = 1,
        name: str = "a",
    ) -> None:
        report = Report(
            percent=percent,
            metrics={} if step is None else {"step": str(step)},
            checkpoint=None if checkpoint is None else Checkpoint(step=checkpoint),
        )
        self.board.put("ns", name, attempt=attempt, report=report)

    @property
    def newest(self) -> ProgressFact:
        fact = self.board.newest("ns", "a")
        assert fact is not None
        return fact


def test_the_first_report_is_told_at_once_and_more_within_5_s_once() -> None:
    world = World()

    for step in range(10):
        world.put(step)
    assert world.told == ["a"]
    world.advance(5)

    assert world.told == ["a", "a"]
    assert world.newest.integer("step") == 9


def test_a_report_after_a_pause_is_told_at_once() -> None:
    world = World()

    world.put(1)
    world.advance(6)
    world.put(2)

    assert world.told == ["a", "a"]


def test_a_new_checkpoint_and_the_end_are_told_at_once() -> None:
    world = World()

    world.put(1)
    world.put(2, checkpoint=2)
    world.put(3, percent=100)
    world.put(3, percent=100)

    assert world.told == ["a"] * 3


def test_a_clock_set_back_silences_no_job() -> None:
    world = World()

    world.put(1)
    world.now -= timedelta(hours=1)
    world.put(2)

    assert world.told == ["a", "a"]


def test_a_report_without_news_moves_no_time_and_tells_nobody() -> None:
    world = World()

    world.put(1)
    world.advance(60)
    world.put(1)

    assert world.newest.advanced_at == T0
    assert world.told == ["a"]


def test_what_an_attempt_said_once_still_holds() -> None:
    world = World()

    world.put(5, checkpoint=4)
    world.put(percent=100)

    assert world.newest.integer("step") == 5
    assert world.newest.checkpoint == Checkpoint(step=4)


def test_a_new_attempt_starts_from_nothing() -> None:
    world = World()

    world.put(5, checkpoint=4)
    world.put(percent=1, attempt=2)

    assert (world.newest.attempt, dict(world.newest.metrics)) == (2, {})
    assert world.newest.checkpoint is None
    assert world.told == ["a", "a"]


def test_a_report_of_an_older_attempt_is_refused() -> None:
    world = World()
    world.put(1, attempt=2)

    with pytest.raises(Refused, match="got 1; attempt 2 runs now") as refused:
        world.put(50, attempt=1)

    assert refused.value.status == 409
    assert world.newest.integer("step") == 1


def test_a_checkpoint_is_asked_for_until_a_new_one_is_there() -> None:
    world = World()
    world.put(1, checkpoint=1)
    world.board.request_checkpoint("ns", "a")

    world.put(2)
    assert world.board.checkpoint_requested("ns", "a")
    world.put(3, checkpoint=3)

    assert not world.board.checkpoint_requested("ns", "a")


def test_a_forgotten_job_leaves_nothing_behind() -> None:
    world = World()
    world.put(1)
    world.put(2)
    world.board.request_checkpoint("ns", "a")

    world.board.forget("ns", "a")
    world.advance(10)

    assert world.board.newest("ns", "a") is None
    assert not world.board.checkpoint_requested("ns", "a")
    assert world.told == ["a"]


def test_memory_is_bounded_by_dropping_the_quietest_job() -> None:
    world = World(capacity=2)

    for name in ("a", "b", "a", "c"):
        world.put(len(world.told), name=name)

    assert world.board.newest("ns", "b") is None
    assert world.board.newest("ns", "a") is not None
