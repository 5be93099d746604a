from hypothesis import given
from hypothesis import strategies as st

from flagscale_workloads.inference.simulator.faults import Faults, FaultScript, falls_due


@given(st.integers(0, 100), st.integers(1, 300))
def test_the_share_of_failures_is_exact(percent: int, requests: int) -> None:
    failures = sum(falls_due(n, percent / 100) for n in range(requests))
    assert failures == requests * percent // 100


def test_requests_are_served_until_the_one_that_kills() -> None:
    script = FaultScript(Faults(die_after_requests=2))
    assert [script.next_request() for _ in range(3)] == ["served", "served", "dead"]


def test_the_last_token_before_death_is_told() -> None:
    script = FaultScript(Faults(die_after_tokens=3))
    assert [script.next_token() for _ in range(3)] == [False, False, True]


def test_counting_begins_when_faults_are_set() -> None:
    script = FaultScript(Faults(fail_share=0.5))
    assert [script.next_request() for _ in range(4)] == ["served", "failed"] * 2
    script.set(Faults(die_after_requests=1))
    assert [script.next_request() for _ in range(2)] == ["served", "dead"]
    script.set(Faults(hang="requests"))
    assert script.next_request() == "hung"
