import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from flagscale_operator.controller.lease import LeaderElection, LeadershipLost, LeaseTimes
from flagscale_operator.errors import TransientError
from flagscale_operator.kube.kinds import LEASE, LEASE_NAME
from support.fake_kube import FakeKube


class Time:
    """Virtual seconds: whoever sleeps is woken in order when the test advances."""

    def __init__(self) -> None:
        self.now = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Event]] = []
        self._count = itertools.count()

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.Event()
        heapq.heappush(self._sleepers, (self.now + seconds, next(self._count), woken))
        await woken.wait()

    async def advance(self, seconds: float, check: Callable[[], None] = lambda: None) -> None:
        end = self.now + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            self.now, _, woken = heapq.heappop(self._sleepers)
            woken.set()
            await settle()
            check()
        self.now = end


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def forever() -> None:
    await asyncio.Event().wait()


def candidate(kube: FakeKube, time: Time, identity: str, **options: Any) -> LeaderElection:
    return LeaderElection(
        kube,
        namespace="ns",
        identity=identity,
        clock=time.clock,
        sleep=time.sleep,
        jitter=lambda: 0.5,
        **options,
    )


def started(
    election: LeaderElection, work: Callable[[], Awaitable[None]] = forever
) -> "asyncio.Task[None]":
    return asyncio.create_task(election.run_as_leader(work))


async def ended(*tasks: "asyncio.Task[None]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def holder(kube: FakeKube) -> str:
    return str((kube.peek(LEASE, "ns", LEASE_NAME) or {})["spec"]["holderIdentity"])


async def test_one_of_two_candidates_leads_and_keeps_leading() -> None:
    kube, time = FakeKube(), Time()
    a, b = candidate(kube, time, "a"), candidate(kube, time, "b")
    tasks = [started(a), started(b)]

    await time.advance(120, lambda: _at_most_one(a, b))

    assert (a.leads, b.leads, holder(kube)) == (True, False, "a")
    await ended(*tasks)


def _at_most_one(*elections: LeaderElection) -> None:
    assert sum(e.leads for e in elections) <= 1


async def test_a_crashed_leader_is_replaced_within_lease_and_two_retries() -> None:
    kube, time = FakeKube(), Time()
    taken_at: list[float] = []
    a = candidate(kube, time, "a")
    b = candidate(kube, time, "b", on_change=lambda _: taken_at.append(time.now))
    crashing, standby = started(a), started(b)
    await time.advance(30)
    a._kube = _Unreachable()

    await time.advance(25, lambda: _at_most_one(a, b))

    assert b.leads
    retry_s = 2 * (1 + 1.2 * 0.5)
    assert taken_at[0] - 30 <= 15 + 2 * retry_s
    with pytest.raises(LeadershipLost):
        await crashing
    await ended(standby)


class _Unreachable(FakeKube):
    async def get(self, *args: Any, **kwargs: Any) -> Any:
        raise TransientError("no answer")


async def test_a_leader_that_cannot_renew_stops_before_anybody_takes_over() -> None:
    kube, time = FakeKube(), Time()
    cancelled = asyncio.Event()

    async def work() -> None:
        try:
            await forever()
        finally:
            cancelled.set()

    a = candidate(kube, time, "a")
    task = started(a, work)
    await time.advance(5)
    a._kube = _Unreachable()

    await time.advance(14)

    assert cancelled.is_set()
    with pytest.raises(LeadershipLost, match="ns/flagscale-operator"):
        await task
    assert holder(kube) == "a"


async def test_a_release_lets_the_standby_lead_at_its_next_try() -> None:
    kube, time = FakeKube(), Time()
    a, b = candidate(kube, time, "a"), candidate(kube, time, "b")
    leading, standby = started(a), started(b)
    await time.advance(10)

    await ended(leading)
    assert holder(kube) == ""
    await time.advance(4)

    assert b.leads
    await ended(standby)


async def test_the_lease_is_released_after_the_work_has_ended() -> None:
    kube, time = FakeKube(), Time()
    seen: list[str] = []

    async def work() -> None:
        try:
            await forever()
        finally:
            await settle()
            seen.append(holder(kube))

    task = started(candidate(kube, time, "a"), work)
    await time.advance(5)
    await ended(task)

    assert (seen, holder(kube)) == (["a"], "")


async def test_the_lease_is_renewed_while_the_work_drains() -> None:
    kube, time = FakeKube(), Time()
    a, b = candidate(kube, time, "a"), candidate(kube, time, "b")

    async def work() -> None:
        try:
            await forever()
        finally:
            await time.sleep(20)

    draining, standby = started(a, work), started(b)
    await time.advance(5)
    draining.cancel()

    await time.advance(19)
    assert (holder(kube), b.leads) == ("a", False)
    await time.advance(5)

    assert b.leads
    await ended(draining, standby)


async def test_work_that_outlives_a_lost_lease_does_not_hold_up_the_end() -> None:
    kube, time = FakeKube(), Time()

    async def work() -> None:
        try:
            await forever()
        finally:
            await forever()

    times = LeaseTimes(lease_s=10.02, renew_deadline_s=10)
    task = started(candidate(kube, time, "a", times=times), work)
    await time.advance(5)
    stolen = kube.peek(LEASE, "ns", LEASE_NAME) or {}
    stolen["spec"]["holderIdentity"] = "b"
    kube.put(LEASE, stolen)

    await time.advance(3)

    with pytest.raises(LeadershipLost):
        await asyncio.wait_for(task, 5)


async def test_work_that_ends_by_itself_releases_and_returns() -> None:
    kube, time = FakeKube(), Time()

    async def work() -> None:
        return

    await candidate(kube, time, "a").run_as_leader(work)

    assert holder(kube) == ""


async def test_an_error_of_the_work_is_raised() -> None:
    kube, time = FakeKube(), Time()

    async def work() -> None:
        raise RuntimeError("bug")

    with pytest.raises(RuntimeError, match="bug"):
        await candidate(kube, time, "a").run_as_leader(work)


async def test_a_thief_in_the_record_ends_leadership_at_once() -> None:
    kube, time = FakeKube(), Time()
    changes: list[bool] = []
    task = started(candidate(kube, time, "a", on_change=changes.append))
    await time.advance(3)
    stolen = kube.peek(LEASE, "ns", LEASE_NAME) or {}
    stolen["spec"]["holderIdentity"] = "b"
    kube.put(LEASE, stolen)

    await time.advance(3)

    with pytest.raises(LeadershipLost, match="lost to b"):
        await task
    assert changes == [True, False]
    assert holder(kube) == "b"


async def test_remote_times_do_not_matter() -> None:
    spec = {
        "holderIdentity": "gone",
        "leaseDurationSeconds": 15,
        "renewTime": "2001-01-01T00:00:00.000000Z",
    }
    lease = {"metadata": {"name": LEASE_NAME, "namespace": "ns"}, "spec": spec}
    kube, time = FakeKube((LEASE, lease)), Time()
    a = candidate(kube, time, "a")
    task = started(a)

    await time.advance(14)
    assert not a.leads
    await time.advance(6)

    assert a.leads
    assert (kube.peek(LEASE, "ns", LEASE_NAME) or {})["spec"]["leaseTransitions"] == 0
    await ended(task)


async def test_a_lost_race_for_a_new_lease_makes_no_second_leader() -> None:
    kube, time = FakeKube(), Time()
    a, b = candidate(kube, time, "a"), candidate(kube, time, "b")
    assert await a._try_to_hold()

    kube_get = kube.get

    async def blind(*_: Any) -> None:
        return None

    kube.get = blind  # type: ignore[method-assign]
    assert not await b._try_to_hold()
    kube.get = kube_get  # type: ignore[method-assign]
    assert holder(kube) == "a"
