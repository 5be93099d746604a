import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagscale_workloads.serve.http.messages import HttpError
from flagscale_workloads.serve.limits import Client, KeyLimits, TokenBucket


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def refusal(client: Client) -> HttpError:
    with pytest.raises(HttpError) as caught:
        client.enter()
    assert caught.value.status == 429
    return caught.value


def test_requests_over_the_rate_are_refused_with_the_wait() -> None:
    clock = Clock()
    client = Client(KeyLimits("ann", requests_per_minute=2), clock)
    for _ in range(2):
        client.enter()
        client.leave(0)

    error = refusal(client)

    assert dict(error.headers)[b"retry-after"] == b"30"
    assert "2 requests per minute" in error.message
    clock.now_s = 30.0
    client.enter()


def test_tokens_are_charged_late_and_block_until_they_have_flowed_back() -> None:
    clock = Clock()
    client = Client(KeyLimits("ann", tokens_per_minute=60), clock)
    client.enter()
    client.leave(100)

    error = refusal(client)
    clock.now_s = float(dict(error.headers)[b"retry-after"])

    client.enter()


def test_concurrency_counts_what_runs() -> None:
    client = Client(KeyLimits("ann", concurrency=1), Clock())
    client.enter()

    assert "1 requests at the same time" in refusal(client).message
    client.leave(0)
    client.enter()


def test_a_refused_request_costs_nothing() -> None:
    client = Client(KeyLimits("ann", requests_per_minute=5, tokens_per_minute=10), Clock())
    client.enter()
    client.leave(50)
    refusal(client)

    assert client.running == 0
    assert dict(client.headers())[b"x-ratelimit-remaining-requests"] == b"4"


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(0, 20)), max_size=60))
def test_no_more_flows_out_of_a_bucket_than_it_held_and_got(
    steps: list[tuple[float, int]],
) -> None:
    clock = Clock()
    bucket, taken = TokenBucket(60, clock), 0
    for seconds, amount in steps:
        clock.now_s += seconds
        bucket.refill()
        if not bucket.wait_s(amount):
            bucket.take(amount)
            taken += amount
        assert taken <= 60 + clock.now_s + 1e-6
