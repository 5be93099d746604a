import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagscale_api.v1alpha1.trainer import ScheduleSpec
from flagscale_workloads.train.errors import TrainError
from flagscale_workloads.train.order import batch_of, epoch_order
from flagscale_workloads.train.schedule import accumulation, learning_rate

SCHEDULE = ScheduleSpec(steps=100, warmup_steps=10, learning_rate=1e-2, min_learning_rate=1e-3)


def test_the_rate_rises_to_the_peak_then_falls_to_the_minimum() -> None:
    rates = [learning_rate(step, schedule=SCHEDULE) for step in range(1, 101)]
    assert rates[0] == pytest.approx(1e-3)
    assert max(rates) == rates[9] == 1e-2
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[-1] == pytest.approx(1e-3)


@pytest.mark.parametrize("warmup", [0, 1, 5])
def test_every_step_has_a_rate_within_the_bounds_whatever_the_warm_up(warmup: int) -> None:
    schedule = ScheduleSpec(steps=5, warmup_steps=warmup)
    rates = [learning_rate(step, schedule=schedule) for step in range(1, 6)]
    assert all(0 < rate <= schedule.learning_rate for rate in rates)


def test_a_batch_is_divided_into_passes_and_ranks() -> None:
    schedule = ScheduleSpec(global_batch_size=24, micro_batch_size=4)
    assert accumulation(schedule, ranks=2) == 3


def test_a_batch_that_does_not_divide_is_refused_with_its_numbers() -> None:
    schedule = ScheduleSpec(global_batch_size=16, micro_batch_size=8)
    with pytest.raises(TrainError, match=r"globalBatchSize: 16 .* 8 x 3 processes = 24"):
        accumulation(schedule, ranks=3)


@given(st.integers(0, 99), st.integers(1, 9), st.integers(1, 40))
def test_an_epoch_visits_each_sequence_once(seed: int, batch: int, count: int) -> None:
    steps = range(1, count + 1)
    seen = np.concatenate([batch_of(s, seed=seed, batch=batch, count=count) for s in steps])
    for epoch in range(batch):
        assert sorted(seen[epoch * count : (epoch + 1) * count]) == list(range(count))


def test_the_order_depends_on_seed_epoch_and_step_alone() -> None:
    one = batch_of(7, seed=3, batch=8, count=100)
    epoch_order.cache_clear()
    assert (one == batch_of(7, seed=3, batch=8, count=100)).all()
    assert (one != batch_of(7, seed=4, batch=8, count=100)).any()
    assert (epoch_order(3, 0, 100) != epoch_order(3, 1, 100)).any()
