import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from flagscale_workloads.inference.simulator.engine import DEATH, Engine
from flagscale_workloads.inference.simulator.faults import Faults, FaultScript
from flagscale_workloads.inference.simulator.scheduler import Costs, Limits, Scheduler, Sequence


@asynccontextmanager
async def engine(faults: Faults, die: Callable[[int], object] = os._exit) -> AsyncIterator[Engine]:
    scheduler = Scheduler(Costs(), Limits(max_running=2))
    one = Engine(scheduler, FaultScript(faults), speed=1000, die=die)
    task = asyncio.create_task(one.run())
    async with asyncio.timeout(5):
        yield one
    task.cancel()
    await asyncio.wait([task])


async def test_each_token_is_seen_and_the_engine_is_idle_afterwards() -> None:
    async with engine(Faults()) as one:
        tickets = [one.submit(Sequence(10, n)) for n in (1, 5, 3)]
        seen = [await ticket.beyond(ticket.sequence.answer_tokens - 1) for ticket in tickets]
        assert seen == [1, 5, 3]
        await one.idle()
        assert one.snapshot().finished == 3


async def test_a_prompt_without_an_answer_is_done_after_its_prefill() -> None:
    async with engine(Faults()) as one:
        await one.submit(Sequence(10, 0)).done()
        assert one.snapshot().generated_tokens == 0


async def test_an_aborted_request_lets_the_next_one_run() -> None:
    async with engine(Faults(hang_after_tokens=1)) as one:
        hung = [one.submit(Sequence(10, 5)) for _ in range(2)]
        waiting = one.submit(Sequence(10, 1))
        await asyncio.gather(*(ticket.beyond(0) for ticket in hung))
        one.abort(hung[0])
        await waiting.done()
        one.abort(hung[1])
        await one.idle()
        assert one.snapshot().aborted == 2


async def test_it_dies_after_exactly_so_many_tokens() -> None:
    death = asyncio.get_running_loop().create_future()
    async with engine(Faults(die_after_tokens=4), death.set_result) as one:
        ticket = one.submit(Sequence(10, 50))
        assert await ticket.beyond(3) == 4
        assert (await death, ticket.sequence.generated) == (DEATH, 4)
