from typing import Any

import pytest

from flagscale_runner.local.service_spec import service_here, with_notes

MODEL: dict[str, Any] = {"volume": {"claimName": "m"}}


def seen(spec: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Spec and noted condition of a service that its reconciler has looked at."""
    body = service_here({"metadata": {"name": "s"}, "spec": {"model": MODEL, **spec}})
    known = {**body["metadata"], "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z"}
    ready = {"type": "Ready", "status": "True"}
    told = with_notes({**body, "metadata": known, "status": {"conditions": [ready]}})
    conditions = {c["type"]: c for c in told["status"]["conditions"]}
    return body["spec"], conditions.get("Simplified", {})


def test_a_service_runs_on_pods_here_and_nothing_is_noted() -> None:
    spec, note = seen({"engine": {"name": "transformers"}})
    assert (spec["runtime"], note) == ("pods", {})


@pytest.mark.parametrize(
    ("spec", "changed", "said"),
    [
        ({"runtime": "rayservice"}, {"runtime": "pods"}, "spec.runtime: rayservice runs as plain"),
        ({"autoscaling": {"minReplicas": 2}}, {"replicas": 2}, "spec.autoscaling: stays at 2"),
        ({"autoscaling": {"minReplicas": 0}}, {"replicas": 1}, "spec.autoscaling: stays at 1"),
        ({"upgradeDeadlineSeconds": 60}, {}, "spec.upgradeDeadlineSeconds: is Ray Serve's"),
    ],
)
def test_what_is_simpler_here_is_noted_in_a_condition(
    spec: dict[str, Any], changed: dict[str, Any], said: str
) -> None:
    here, note = seen(spec)
    assert here == {"model": MODEL, "runtime": "pods", **changed}
    assert (note["status"], note["reason"]) == ("True", "OneMachine")
    assert note["message"].startswith(said)
