import pytest

from flagscale_api.v1alpha1.train_job import FailurePolicy
from flagscale_api.v1alpha1.train_job_status import Cause, RestartCounts
from flagscale_operator.kinds.train_job.restart import decide_restart

POLICY = FailurePolicy(backoff_seconds=10)


@pytest.mark.parametrize(("restarts", "delay"), [(0, 10), (1, 20), (3, 80), (10, 300), (60, 300)])
def test_the_delay_doubles_up_to_five_minutes(restarts: int, delay: float) -> None:
    decision = decide_restart("Killed", POLICY, counts=RestartCounts(), restarts=restarts)

    assert (decision.restart, decision.delay_s) == (True, delay)


@pytest.mark.parametrize(
    "cause", ["InvalidData", "InvalidSpec", "CheckpointUnreadable", "OutputUnwritable", "Deadline"]
)
def test_what_would_fail_again_the_same_way_is_not_restarted(cause: Cause) -> None:
    assert not decide_restart(cause, POLICY, counts=RestartCounts(), restarts=0).restart


def test_each_cause_spends_its_own_budget() -> None:
    counts = RestartCounts(out_of_memory=1)

    oom = decide_restart("OutOfMemory", POLICY, counts=counts, restarts=1)
    lost = decide_restart("NodeLost", POLICY, counts=counts, restarts=1)

    assert not oom.restart
    assert lost.counts == RestartCounts(out_of_memory=1, node_lost=1)
