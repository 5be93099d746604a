"""The keyed queue, with a clock that only the test moves."""

import asyncio
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from flagscale_operator.controller.queue import BACKOFF_MAX_S, Key, KeyedQueue

A, B = Key("TrainJob", "ns", "a"), Key("TrainJob", "ns", "b")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def make(clock: Clock | None = None, jitter: Callable[[], float] = lambda: 0.5) -> KeyedQueue:
    return KeyedQueue(clock=clock or Clock(), jitter=jitter)


async def test_a_key_added_often_runs_once() -> None:
    queue = make()

    for _ in range(5):
        queue.add(A)

    assert await queue.take() == A
    assert len(queue) == 0


async def test_a_key_added_while_it_runs_runs_once_more_and_never_twice_at_once() -> None:
    queue = make()
    queue.add(A)
    await queue.take()

    queue.add(A)
    queue.add(A)
    queue.add(B)

    assert await queue.take() == B
    queue.done(A)
    assert await queue.take() == A


async def test_the_soonest_of_several_delays_wins() -> None:
    clock = Clock()
    queue = make(clock)
    queue.add_after(A, 60)
    queue.add_after(A, 5)
    queue.add_after(A, 90)

    clock.now = 6

    assert await queue.take() == A
    queue.done(A)
    clock.now = 100
    queue.add(B)
    assert await queue.take() == B
    assert len(queue) == 0


async def test_back_off_doubles_up_to_its_limit_and_a_success_resets_it() -> None:
    queue = make()

    delays = [queue.retry(A) for _ in range(12)]
    queue.forget(A)

    assert delays[:3] == [0.5, 1.0, 2.0]
    assert delays[-1] == BACKOFF_MAX_S
    assert queue.retry(A) == 0.5


async def test_a_closed_queue_hands_out_nothing() -> None:
    queue = make()
    waiting = asyncio.create_task(queue.take())
    await asyncio.sleep(0)

    queue.close()

    assert await waiting is None


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "take", "done", "later"]), st.sampled_from([A, B])),
        max_size=60,
    )
)
def test_no_key_is_lost_and_none_is_held_by_two_workers(steps: list[tuple[str, Key]]) -> None:
    async def scenario() -> None:
        clock = Clock()
        queue = make(clock)
        held: set[Key] = set()
        wanted: set[Key] = set()
        for step, key in steps:
            if step == "add":
                queue.add(key)
                wanted.add(key)
            elif step == "later":
                queue.add_after(key, 10)
                wanted.add(key)
            elif step == "done" and key in held:
                held.discard(key)
                queue.done(key)
            elif step == "take" and len(queue) > len(held):
                taken = await queue.take()
                assert taken is not None
                assert taken not in held
                held.add(taken)
                wanted.discard(taken)
        for key in held:
            queue.done(key)
        clock.now = 100
        while wanted:
            taken = await queue.take()
            assert taken is not None
            wanted.discard(taken)
            queue.done(taken)

    asyncio.run(scenario())


class Told:
    def __init__(self) -> None:
        self.depths: list[tuple[str, int]] = []

    def added(self, kind: str, depth: int) -> None:
        self.depths.append((kind, depth))

    def taken(self, kind: str, waited_s: float, depth: int) -> None:
        assert waited_s >= 0
        self.depths.append((kind, depth))

    def retried(self, kind: str) -> None:
        self.depths.append((kind, -1))


async def test_the_depth_of_a_queue_is_told_by_kind() -> None:
    told = Told()
    queue = KeyedQueue(observer=told)
    job, service = Key("TrainJob", "ns", "a"), Key("InferenceService", "ns", "a")
    for key in (job, Key("TrainJob", "ns", "b"), service):
        queue.add(key)

    assert await queue.take() == job

    added = [("TrainJob", 1), ("TrainJob", 2), ("InferenceService", 1)]
    assert told.depths == [*added, ("TrainJob", 1)]
