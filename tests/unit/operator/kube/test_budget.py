from flagscale_operator.kube.budget import RequestBudget


class Time:
    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def budget(time: Time, rate_per_s: float | None = 10, burst: int = 2) -> RequestBudget:
    return RequestBudget(
        rate_per_s=rate_per_s, burst=burst, clock=lambda: time.now, sleep=time.sleep
    )


async def test_a_burst_goes_at_once_and_the_rest_queues_up() -> None:
    time = Time()
    requests = budget(time)

    for _ in range(4):
        await requests.take()

    assert time.slept == [0.1, 0.2]


async def test_rest_refills_up_to_the_burst() -> None:
    time = Time()
    requests = budget(time)
    await requests.take()
    time.now = 100

    for _ in range(3):
        await requests.take()

    assert time.slept == [0.1]


async def test_no_rate_is_no_limit() -> None:
    time = Time()
    requests = budget(time, rate_per_s=None)

    for _ in range(1000):
        await requests.take()

    assert time.slept == []
