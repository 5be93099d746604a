import json
from datetime import UTC, datetime
from typing import Any

import pytest

from flagscale_operator.kinds.train_job.facts import ProgressFact
from flagscale_operator.progress.protocol import Refused, parse_report

NOW = "2026-01-01T00:00:00.123456+00:00"


def body(**status: Any) -> bytes:
    return json.dumps({"trainerStatus": {"lastUpdatedTime": NOW, **status}}).encode()


def metrics(**values: str) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in values.items()]


def test_a_full_report_is_understood() -> None:
    report = parse_report(
        body(
            progressPercentage=40,
            estimatedRemainingSeconds=90,
            metrics=metrics(step="40", loss="2.5", grad_norm="1"),
            checkpoint={"step": 30, "path": "/out/30", "time": "2026-01-01T01:00:00+01:00"},
            color="blue",
        )
    )

    assert (report.percent, report.remaining_s) == (40, 90)
    assert report.metrics == {"step": "40", "loss": "2.5"}
    assert report.checkpoint is not None
    assert report.checkpoint.time == "2026-01-01T00:00:00Z"


def test_names_of_the_transformers_callback_are_understood() -> None:
    sent = metrics(current_step="7", max_steps="9", train_loss="3", eval_loss="4")

    assert parse_report(body(metrics=sent)).metrics == {
        "step": "7",
        "total_steps": "9",
        "loss": "3",
        "validation_loss": "4",
    }


def test_the_newest_loss_wins_over_the_mean() -> None:
    assert parse_report(body(metrics=metrics(train_loss="3", loss="1"))).metrics == {"loss": "1"}


def test_a_checkpoint_may_come_as_a_metric() -> None:
    report = parse_report(body(metrics=metrics(checkpoint_step="30")))

    assert report.checkpoint is not None
    assert report.checkpoint.step == 30


@pytest.mark.parametrize("step", ["1e30", "9" * 60, "-1", "inf", "nan", "soon", "", "\u00b2"])
def test_a_step_that_can_not_be_stored_is_none(step: str) -> None:
    report = parse_report(body(metrics=metrics(step=step, checkpoint_step=step)))
    fact = ProgressFact(attempt=1, advanced_at=datetime.now(UTC), metrics=report.metrics)

    assert (fact.integer("step"), report.checkpoint) == (None, None)


@pytest.mark.parametrize(
    ("status", "names"),
    [
        ({"progressPercentage": 101}, "trainerStatus.progressPercentage"),
        ({"progressPercentage": -1}, "trainerStatus.progressPercentage"),
        ({"progressPercentage": 1.5}, "trainerStatus.progressPercentage"),
        ({"estimatedRemainingSeconds": -1}, "trainerStatus.estimatedRemainingSeconds"),
        ({"metrics": metrics(a="x" * 65)}, "trainerStatus.metrics.0.value"),
        ({"metrics": [{"name": "n" * 65, "value": "1"}]}, "trainerStatus.metrics.0.name"),
        ({"metrics": [{"name": "a", "value": 1}]}, "trainerStatus.metrics.0.value"),
        ({"metrics": metrics(**{f"m{i}": "1" for i in range(257)})}, "trainerStatus.metrics"),
        ({"checkpoint": {"step": -1}}, "trainerStatus.checkpoint.step"),
        ({"checkpoint": {"step": 10**30}}, "trainerStatus.checkpoint.step"),
        ({"lastUpdatedTime": None}, "trainerStatus.lastUpdatedTime"),
        ({"lastUpdatedTime": "2026-01-01T00:00:00"}, "trainerStatus.lastUpdatedTime"),
        ({"lastUpdatedTime": "yesterday"}, "trainerStatus.lastUpdatedTime"),
    ],
)
def test_a_wrong_field_is_named(status: dict[str, Any], names: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_report(body(**status))

    assert refused.value.status == 422
    assert refused.value.message.startswith(f"{names}: ")


@pytest.mark.parametrize("sent", [b"", b"{", b"[]", b"{}", b'{"trainerStatus": {}}', b"\xff"])
def test_what_is_no_report_is_refused(sent: bytes) -> None:
    with pytest.raises(Refused) as refused:
        parse_report(sent)

    assert refused.value.status == 422
