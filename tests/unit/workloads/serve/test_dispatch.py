import asyncio
import random
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flagscale_workloads.serve.dispatch import Dispatcher
from flagscale_workloads.serve.http.messages import HttpError
from flagscale_workloads.serve.policies import LeastOutstanding, RouteKey
from flagscale_workloads.serve.replicas import Replica, ReplicaSet

KEY = RouteKey()


def dispatcher(replicas: int, *, concurrency: int = 1, queue: int = 4) -> Dispatcher:
    loop = asyncio.get_running_loop()
    made = Dispatcher(
        ReplicaSet(),
        LeastOutstanding(),
        per_replica_concurrency=concurrency,
        queue_size=queue,
        queue_timeout_s=0.2,
        hold_timeout_s=0.2,
        now=loop.time,
    )
    for number in range(replicas):
        replica = Replica.at(f"r{number}", "127.0.0.1", 1)
        replica.ready = True
        made.replicas.add(replica)
    return made


async def use(made: Dispatcher, done: "asyncio.Event", *, fail: bool = False) -> str:
    replica = await made.acquire(KEY)
    try:
        await done.wait()
        if fail:
            raise ConnectionError
        return replica.name
    finally:
        made.release(replica)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_full_queue_refuses_and_a_long_wait_ends() -> None:
    made, done = dispatcher(1, queue=1), asyncio.Event()
    first = asyncio.create_task(use(made, done))
    await settle()
    second = asyncio.create_task(use(made, done))
    await settle()

    with pytest.raises(HttpError) as full:
        await made.acquire(KEY)
    with pytest.raises(HttpError) as late:
        await second
    done.set()

    assert full.value.status == 429
    assert late.value.status == 503
    assert dict(late.value.headers)[b"retry-after"]
    assert await first == "r0"


async def test_waiting_requests_are_served_in_order() -> None:
    made, served = dispatcher(1, queue=9), []

    async def one(number: int) -> None:
        replica = await made.acquire(KEY)
        served.append(number)
        await asyncio.sleep(0)
        made.release(replica)

    await asyncio.gather(*(one(number) for number in range(9)))

    assert served == list(range(9))


async def test_requests_wait_for_a_replica_that_comes_later() -> None:
    made, done = dispatcher(0), asyncio.Event()
    done.set()
    task = asyncio.create_task(use(made, done))
    await settle()
    late = Replica.at("late", "127.0.0.1", 1)
    late.ready = True

    made.replicas.add(late)

    assert await task == "late"


async def test_a_waiter_that_can_not_use_a_place_does_not_hold_up_the_next() -> None:
    made, done, first_done = dispatcher(2), asyncio.Event(), asyncio.Event()
    holders = [asyncio.create_task(use(made, event)) for event in (done, first_done)]
    await settle()
    picky = asyncio.create_task(made.acquire(KEY, exclude=["r0"]))
    await settle()
    easy = asyncio.create_task(made.acquire(KEY))
    await settle()

    first_done.set()

    assert await easy is made.replicas.get("r0")
    assert not picky.done()
    picky.cancel()
    done.set()
    await asyncio.gather(*holders)


@dataclass(frozen=True)
class Step:
    action: str
    number: int


ACTIONS = ("start", "finish", "fail", "cancel", "remove", "add", "eject", "turn")
STEPS = st.lists(st.builds(Step, st.sampled_from(ACTIONS), st.integers(0, 9)), max_size=60)


@settings(max_examples=150)
@given(STEPS)
def test_loads_return_to_zero_after_any_mix_of_ends(steps: list[Step]) -> None:
    asyncio.run(play(steps))


async def play(steps: list[Step]) -> None:
    made = dispatcher(2, concurrency=2, queue=3)
    seen: set[Replica] = set(made.replicas)
    running: list[tuple[asyncio.Task[str], asyncio.Event]] = []
    rng = random.Random(0)
    for number, step in enumerate(steps):
        if step.action in {"start", "fail"}:
            done = asyncio.Event()
            task = asyncio.create_task(use(made, done, fail=step.action == "fail"))
            running.append((task, done))
        elif step.action == "finish" and running:
            running[step.number % len(running)][1].set()
        elif step.action == "cancel" and running:
            running[step.number % len(running)][0].cancel()
        elif step.action == "remove" and len(made.replicas):
            made.replicas.remove(rng.choice([r.name for r in made.replicas]))
        elif step.action == "add":
            replica = Replica.at(f"n{number}", "127.0.0.1", 1)
            replica.ready = True
            seen.add(replica)
            made.replicas.add(replica)
        elif step.action == "eject":
            for replica in made.replicas:
                replica.failed(made.now(), limit=1, ejection_s=0.01)
        await settle()
        assert all(0 <= r.outstanding <= 2 for r in seen)
    for _, done in running:
        done.set()
    await asyncio.gather(*(task for task, _ in running), return_exceptions=True)
    assert all(replica.outstanding == 0 for replica in seen)
    assert made.waiting == 0
