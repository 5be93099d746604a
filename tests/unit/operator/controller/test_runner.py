import asyncio

import pytest

from flagscale_operator.controller.queue import Key, KeyedQueue
from flagscale_operator.controller.runner import resync, run_workers
from flagscale_operator.errors import ApiError, InvalidSpecError, TransientError

A, B = Key("TrainJob", "ns", "a"), Key("TrainJob", "ns", "b")


class Results:
    def __init__(self) -> None:
        self.results: list[str] = []

    def reconciled(self, kind: str, result: str, seconds: float) -> None:
        assert kind == "TrainJob"
        assert seconds >= 0
        self.results.append(result)


async def run_once(
    error: Exception | None, *, requeue: float | None = None
) -> tuple[Results, KeyedQueue, list[Key]]:
    queue, results, seen = KeyedQueue(jitter=lambda: 0.5), Results(), []

    async def reconcile(key: Key) -> float | None:
        seen.append(key)
        queue.close()
        if error:
            raise error
        return requeue

    queue.add(A)
    await run_workers(queue, reconcile, workers=2, observer=results)
    return results, queue, seen


async def test_a_run_that_asks_for_it_comes_back_later() -> None:
    results, queue, seen = await run_once(None, requeue=5.0)

    assert (results.results, seen, len(queue)) == (["requeue_after"], [A], 0)


@pytest.mark.parametrize(
    "error",
    [
        TransientError("slow down", retry_after_s=3.0),
        ApiError(409, "Conflict", "somebody was faster", "patch", "trainjobs"),
        InvalidSpecError("spec.replicas: too many, got 9"),
        RuntimeError("a bug"),
    ],
)
async def test_no_error_of_one_object_stops_the_workers(error: Exception) -> None:
    results, _, seen = await run_once(error)

    assert results.results == ["error"]
    assert seen == [A]


async def test_an_invalid_spec_is_not_tried_again_and_a_bug_is() -> None:
    _, invalid, _ = await run_once(InvalidSpecError("no"))
    _, bug, _ = await run_once(RuntimeError("bug"))

    assert invalid.retry(A) == 0.5
    assert bug.retry(A) == 1.0


async def test_resync_looks_at_every_object() -> None:
    queue, periods = KeyedQueue(), iter([0.0])

    async def sleep(_: float) -> None:
        if next(periods, None) is None:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await resync(queue, lambda: [A, B], sleep=sleep, jitter=lambda: 0.0)

    assert len(queue) == 2
