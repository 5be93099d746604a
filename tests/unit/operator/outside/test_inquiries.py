"""Questions are asked in the background, and news wake who waits for them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from flagscale_operator.controller.queue import Key
from flagscale_operator.outside.inquiries import Inquiries


class Quiet:
    """Nobody looks at these figures here."""

    def reconciled(self, kind: str, result: str, seconds: float) -> None:
        """See `ReconcileObserver`."""


class Oracle:
    """Answers each question with the next of its answers, the last one for ever."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        self.woken: list[Key] = []
        self.changed = asyncio.Event()

    async def ask(self, question: str) -> str:
        self.asked.append(question)
        self.changed.set()
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def wake(self, key: Key) -> None:
        self.woken.append(key)
        self.changed.set()

    async def until_asked(self, times: int) -> None:
        async with asyncio.timeout(5):
            while len(self.asked) < times:
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def running(oracle: Oracle, pace_s: float = 0.01) -> AsyncIterator[Inquiries[str, str]]:
    inquiries: Inquiries[str, str] = Inquiries(
        oracle.ask, name="test", pace_s=lambda *_: pace_s, wake=oracle.wake
    )
    task = asyncio.create_task(inquiries.run(workers=2, observer=Quiet()))
    try:
        yield inquiries
    finally:
        task.cancel()
        await asyncio.wait({task})


A, B = Key("k", "ns", "a"), Key("k", "ns", "b")


async def test_who_shares_a_question_shares_its_answer() -> None:
    oracle = Oracle("yes")
    async with running(oracle, pace_s=60) as inquiries:
        assert inquiries.newest(A, "q") is None
        assert inquiries.newest(B, "q") is None
        await oracle.until_asked(1)
        await asyncio.sleep(0)
        assert sorted(oracle.woken) == [A, B]
        assert inquiries.newest(A, "q") == inquiries.newest(B, "q") == "yes"
    assert oracle.asked == ["q"]


async def test_only_news_wake() -> None:
    oracle = Oracle("no", "no", "yes", "yes")
    async with running(oracle) as inquiries:
        inquiries.newest(A, "q")
        await oracle.until_asked(6)
    assert oracle.woken == [A, A]


async def test_another_question_takes_the_place_of_the_one_before() -> None:
    oracle = Oracle("yes")
    async with running(oracle) as inquiries:
        inquiries.newest(A, "first")
        await oracle.until_asked(1)
        inquiries.newest(A, "second")
        before = len(oracle.asked)
        await oracle.until_asked(before + 3)
        assert set(oracle.asked[before + 1 :]) == {"second"}


async def test_what_nobody_is_interested_in_is_not_asked() -> None:
    oracle = Oracle("yes")
    async with running(oracle, pace_s=0.001) as inquiries:
        inquiries.newest(A, "q")
        await oracle.until_asked(2)
        inquiries.forget(A)
        asked = len(oracle.asked)
        inquiries.newest(B, "other")
        await oracle.until_asked(asked + 3)
        assert oracle.asked[asked + 1 :].count("q") == 0
        assert inquiries.newest(A, "q") is None


async def test_a_follower_has_a_question_asked_again_and_ends_with_it() -> None:
    oracle, ended = Oracle("no", "yes"), asyncio.Event()

    async def follow(question: str, on_change: Callable[[], None]) -> None:
        on_change()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    inquiries: Inquiries[str, str] = Inquiries(
        oracle.ask, name="test", pace_s=lambda *_: 3600, wake=oracle.wake, follow=follow
    )
    task = asyncio.create_task(inquiries.run(workers=1, observer=Quiet()))
    inquiries.newest(A, "q")
    await oracle.until_asked(2)
    assert inquiries.newest(A, "q") == "yes"
    inquiries.forget(A)
    await asyncio.wait_for(ended.wait(), 5)
    task.cancel()
    await asyncio.wait({task})
