from datetime import UTC, datetime
from typing import Any

from flagscale_operator.errors import ApiError, TransientError
from flagscale_operator.kube.kinds import EVENT
from flagscale_operator.telemetry.events import EventRecorder
from support.fake_kube import FakeKube

JOB: dict[str, Any] = {
    "apiVersion": "flagscale.dev/v1alpha1",
    "kind": "TrainJob",
    "metadata": {"namespace": "ns", "name": "a", "uid": "u1"},
}


def recorder(kube: FakeKube, failures: list[int] | None = None, **options: Any) -> EventRecorder:
    return EventRecorder(
        kube,
        component="flagscale-operator",
        instance="pod-1",
        clock=lambda: datetime(2026, 1, 1, tzinfo=UTC),
        on_failure=lambda: failures.append(1) if failures is not None else None,
        **options,
    )


async def test_an_event_names_its_object_and_lies_in_its_namespace() -> None:
    kube = FakeKube()

    await recorder(kube).post(JOB, "Warning", "Hang", "no progress")

    body = kube.calls[0].body or {}
    assert body["involvedObject"]["uid"] == "u1"
    assert body["metadata"]["namespace"] == "ns"
    assert (body["type"], body["reason"], body["message"]) == ("Warning", "Hang", "no progress")
    assert body["firstTimestamp"] == body["lastTimestamp"] == "2026-01-01T00:00:00Z"


async def test_the_same_words_are_counted_on_one_event() -> None:
    kube = FakeKube()
    events = recorder(kube)

    for _ in range(3):
        await events.post(JOB, "Normal", "Running", "runs")

    assert kube.verbs(EVENT) == ["create", "apply", "apply"]
    assert [body["count"] for body in kube.objects.values()] == [3]


async def test_other_words_or_another_object_make_another_event() -> None:
    kube = FakeKube()
    events = recorder(kube)

    await events.post(JOB, "Normal", "Running", "runs")
    await events.post(JOB, "Normal", "Running", "runs again")
    other = {**JOB, "metadata": {**JOB["metadata"], "uid": "u2"}}
    await events.post(other, "Normal", "Running", "runs")

    assert len(kube.objects) == 3


async def test_a_failure_is_counted_and_raises_nothing() -> None:
    kube, failures = FakeKube(), list[int]()
    kube.refuse("create", ApiError(403, "Forbidden", "no", "create", "events"))
    kube.refuse("create", TransientError("gone"))
    events = recorder(kube, failures)

    await events.post(JOB, "Normal", "Running", "runs")
    await events.post(JOB, "Normal", "Running", "runs")
    await events.post(JOB, "Normal", "Running", "runs")

    assert failures == [1, 1]
    assert [body["count"] for body in kube.objects.values()] == [1]


async def test_a_restarted_operator_meets_no_old_name() -> None:
    kube = FakeKube()

    await recorder(kube).post(JOB, "Normal", "Running", "runs")
    await recorder(kube).post(JOB, "Normal", "Running", "runs")

    assert kube.verbs() == ["create", "create"]
    assert len(kube.objects) == 2


async def test_memory_is_bounded_and_a_name_and_message_fit_the_api() -> None:
    kube = FakeKube()
    events = recorder(kube, capacity=1)
    job = {**JOB, "metadata": {**JOB["metadata"], "name": "n" * 253}}

    await events.post(job, "Normal", "A", "m" * 5000)
    await events.post(job, "Normal", "B", "x")
    await events.post(job, "Normal", "A", "m" * 5000)

    first = kube.calls[0].body or {}
    assert len(first["metadata"]["name"]) == 253
    assert len(first["message"]) == 1024
    # The first was forgotten, so its repeat meets its own name: logged, not raised.
    assert kube.verbs() == ["create", "create", "create"]
