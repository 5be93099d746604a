import pytest

from flagscale_workloads.agent.service.admission import Admission
from flagscale_workloads.agent.service.errors import ServiceError


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_rate_is_a_callers_own_and_comes_back() -> None:
    clock = Clock()
    admission = Admission(per_minute=2, at_once=9, in_all=9, clock=clock)
    admission.take("a")
    admission.take("a")
    with pytest.raises(ServiceError, match="caller a: over the limit of 2 requests") as refused:
        admission.take("a")
    assert refused.value.headers() == {"retry-after": "30"}
    admission.take("b")
    clock.now = 30
    admission.take("a")


def test_requests_at_once_are_bounded_for_one_and_for_all() -> None:
    admission = Admission(per_minute=99, at_once=1, in_all=2, clock=Clock())
    with admission.running_for("a"), admission.running_for("b"):
        with pytest.raises(ServiceError, match="2 requests run already") as refused:
            admission.running_for("c").__enter__()
        assert refused.value.status == 503
    with admission.running_for("a"):
        with pytest.raises(ServiceError, match="1 requests at the same time") as refused:
            admission.running_for("a").__enter__()
        assert refused.value.status == 429
    assert admission.running == 0
