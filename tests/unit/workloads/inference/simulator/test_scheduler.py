from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagscale_workloads.inference.simulator.blocks import chained_hashes
from flagscale_workloads.inference.simulator.scheduler import Costs, Limits, Scheduler, Sequence

COSTS = Costs(prefill_s_per_token=0.001, decode_s=0.01, decode_s_per_sequence=0.002)


def sequence(prompt: int = 10, answer: int = 3, family: str = "w") -> Sequence:
    tokens = [f"{family}{i}" for i in range(prompt + answer)]
    return Sequence(prompt, answer, chained_hashes(tokens))


def run(scheduler: Scheduler) -> float:
    """Step until nothing is left; the seconds that it took."""
    seconds = 0.0
    while (step_s := scheduler.begin()) is not None:
        seconds += step_s
        scheduler.complete()
    return seconds


def test_time_is_prefill_then_one_step_per_further_token() -> None:
    scheduler = Scheduler(COSTS, Limits())
    scheduler.submit(sequence(prompt=10, answer=3))
    assert run(scheduler) == pytest.approx(0.010 + 2 * 0.012)


def test_tokens_come_slower_the_more_answers_are_under_way() -> None:
    def step_s(count: int) -> float:
        scheduler = Scheduler(COSTS, Limits())
        for _ in range(count):
            scheduler.submit(sequence())
        scheduler.begin()
        scheduler.complete()
        return scheduler.begin() or 0.0

    assert [step_s(n) for n in (1, 2, 10)] == pytest.approx([0.012, 0.014, 0.030])


def test_a_cached_prefix_takes_no_time() -> None:
    scheduler = Scheduler(COSTS, Limits())
    scheduler.submit(sequence(prompt=100, answer=1))
    cold = run(scheduler)
    scheduler.submit(sequence(prompt=100, answer=1))
    assert (cold, run(scheduler)) == pytest.approx((0.100, 0.004))
    assert scheduler.snapshot().prefix_cache_hit_tokens == 96


def test_the_next_turn_of_a_chat_finds_the_answer_of_the_last() -> None:
    scheduler = Scheduler(COSTS, Limits())
    scheduler.submit(sequence(prompt=32, answer=32))
    run(scheduler)
    scheduler.submit(sequence(prompt=80, answer=1))
    run(scheduler)
    assert scheduler.snapshot().prefix_cache_hit_tokens == 64


def test_requests_start_in_the_order_of_their_arrival() -> None:
    scheduler = Scheduler(COSTS, Limits(max_running=1))
    requests = [sequence(answer=n) for n in (3, 1, 2)]
    for request in requests:
        scheduler.submit(request)
    order = []
    while scheduler.begin() is not None:
        order += [r for r in scheduler.complete() if r.finished]
    assert order == requests


def test_a_long_prompt_delays_others_by_one_piece_at_most() -> None:
    scheduler = Scheduler(COSTS, Limits(step_prefill_tokens=50))
    scheduler.submit(sequence(prompt=10, answer=20))
    scheduler.begin()
    scheduler.complete()
    scheduler.submit(sequence(prompt=200, answer=1, family="x"))
    assert max(scheduler.begin() or 0.0, 0.0) == pytest.approx(0.050 + 0.012)


def test_a_cancelled_request_frees_its_slot_and_blocks() -> None:
    scheduler = Scheduler(COSTS, Limits(max_running=1))
    running, waiting = sequence(answer=50), sequence(answer=1)
    scheduler.submit(running)
    scheduler.submit(waiting)
    scheduler.begin()
    assert scheduler.abort(running)
    state = scheduler.snapshot()
    assert (state.running, state.waiting, state.kv_cache_usage) == (0, 1, 0.0)
    assert scheduler.complete() == []
    run(scheduler)
    assert waiting.finished
    assert not scheduler.abort(running)


def test_a_request_waits_for_blocks() -> None:
    scheduler = Scheduler(COSTS, Limits(kv_cache_tokens=64))
    for family in "ab":
        scheduler.submit(sequence(prompt=30, answer=10, family=family))
    scheduler.begin()
    state = scheduler.snapshot()
    assert (state.running, state.waiting, state.kv_cache_usage) == (1, 1, 0.75)


def test_a_request_beyond_the_whole_cache_is_refused() -> None:
    with pytest.raises(ValueError, match="exceeds the KV cache, got 5 blocks"):
        Scheduler(COSTS, Limits(kv_cache_tokens=64)).submit(sequence(prompt=65))


def test_answers_that_stand_still_keep_what_they_hold() -> None:
    scheduler = Scheduler(COSTS, Limits())
    request = sequence(answer=5)
    scheduler.submit(request)
    while scheduler.begin(stall_after=2) is not None:
        scheduler.complete()
    assert (request.generated, scheduler.snapshot().running) == (2, 1)
    run(scheduler)
    assert request.finished


REQUESTS = st.tuples(st.integers(1, 60), st.integers(0, 20), st.sampled_from("ab"))
MOVES = st.lists(st.one_of(REQUESTS, st.just("step"), st.integers(0, 9)), max_size=60)


@given(st.integers(1, 3), st.integers(6, 12), MOVES)
def test_all_is_counted_and_all_is_given_back(
    slots: int, blocks: int, moves: list[tuple[int, int, str] | str | int]
) -> None:
    limits = Limits(max_running=slots, kv_cache_tokens=16 * blocks, step_prefill_tokens=32)
    scheduler = Scheduler(COSTS, limits)
    submitted: list[Sequence] = []
    sums = [0]
    for move in moves:
        if isinstance(move, tuple):
            submitted.append(sequence(*move))
            scheduler.submit(submitted[-1])
        elif isinstance(move, int):
            scheduler.abort(submitted[move % len(submitted)] if submitted else sequence())
        elif scheduler.begin() is not None:
            scheduler.complete()
        state = scheduler.snapshot()
        assert state.running <= slots
        assert 0 <= state.kv_cache_usage <= 1
        sums.append(state.generated_tokens)
        all_of_them = state.running + state.waiting + state.finished + state.aborted
        assert all_of_them == len(submitted)
    assert all(a <= b for a, b in pairwise(sums))
    run(scheduler)
    state = scheduler.snapshot()
    assert (state.running, state.waiting, state.kv_cache_usage) == (0, 0, 0.0)
    assert state.generated_tokens == sum(request.generated for request in submitted)
