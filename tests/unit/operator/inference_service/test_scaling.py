"""Replicas by load: each test is one situation and the right answer to it."""

from dataclasses import replace
from typing import Any

import pytest

from flagscale_api.v1alpha1.inference_service_status import InferenceServiceStatus, LastScaling
from flagscale_operator.kinds.inference_service.facts import Observed
from flagscale_operator.kinds.inference_service.load import LoadFact
from flagscale_operator.kinds.inference_service.reconcile import Plan
from flagscale_operator.kinds.inference_service.view import ServiceView
from support.inference_services import (
    engine_pod,
    gateway_pod,
    make_service,
    ready,
    serving,
    settled,
    step,
    stored,
)

LIMITS = {"minReplicas": 0, "maxReplicas": 3, "targetConcurrency": 4, "scaleDownDelaySeconds": 60}
SCALED: dict[str, Any] = {"autoscaling": LIMITS}
QUIET = LoadFact(requests=0, waiting=0, idle_s=500)
WAITED_FOR = LoadFact(requests=1, waiting=2, idle_s=0)


def at_scale(
    status: InferenceServiceStatus, seen: Observed, replicas: int, seconds: float
) -> tuple[ServiceView, Observed, Plan]:
    """The scale was changed, the API server has the new children, and pods are as wanted."""
    service = make_service(status, generation=2 + replicas, replicas=replicas, **SCALED)
    service, decided = step(service, seen, seconds)
    seen = replace(seen, stored={**seen.stored, **stored(decided)})
    return service, seen, decided


def test_an_autoscaled_service_is_scaled_by_its_load_and_has_a_budget() -> None:
    _, seen = serving(**SCALED)
    autoscaler = seen.stored["HorizontalPodAutoscaler", "svc"]["spec"]

    assert autoscaler["scaleTargetRef"]["kind"] == "InferenceService"
    assert (autoscaler["minReplicas"], autoscaler["maxReplicas"]) == (1, 3)
    assert ("PodDisruptionBudget", "svc-engine") in seen.stored


def test_who_is_no_longer_autoscaled_loses_the_autoscaler() -> None:
    service, seen = serving(**SCALED)
    _, decided = step(make_service(service.status, generation=2), seen, 20)

    assert decided.delete == (
        ("HorizontalPodAutoscaler", "svc"),
        ("PodDisruptionBudget", "svc-engine"),
    )


@pytest.mark.parametrize(
    ("spec", "load", "seconds", "wanted"),
    [
        # Idle for long enough, and so has the engine been there.
        ({"replicas": 1}, QUIET, 100, 0),
        ({"replicas": 1}, None, 100, None),
        ({"replicas": 1}, replace(QUIET, idle_s=0), 100, None),
        ({"replicas": 1}, replace(QUIET, idle_s=30), 100, None),
        ({"replicas": 1}, QUIET, 20, None),
        ({"replicas": 2}, QUIET, 100, None),
        ({"replicas": 1, "autoscaling": {**LIMITS, "minReplicas": 1}}, QUIET, 100, None),
        ({"replicas": 1, "autoscaling": None}, QUIET, 100, None),
        ({"replicas": 0}, WAITED_FOR, 100, 1),
        ({"replicas": 0}, QUIET, 100, None),
        ({"replicas": 0}, None, 100, None),
        ({"replicas": 0, "autoscaling": {**LIMITS, "minReplicas": 2}}, None, 100, 2),
        ({"replicas": 0, "autoscaling": None}, WAITED_FOR, 100, None),
    ],
)
def test_the_operator_goes_to_none_and_from_none(
    spec: dict[str, Any], load: LoadFact | None, seconds: float, wanted: int | None
) -> None:
    service, seen = serving(**SCALED)
    changed = make_service(service.status, generation=2, **{**SCALED, **spec})

    _, decided = step(changed, replace(seen, load=load), seconds)

    assert decided.scaling.replicas == wanted


def test_an_idle_service_is_looked_at_again_when_its_delay_ends() -> None:
    service, seen = serving(**SCALED)
    _, decided = step(service, replace(seen, load=replace(QUIET, idle_s=30)), 100)

    assert decided.scaling.look_again_s == pytest.approx(30)


def test_an_engine_that_never_got_ready_is_not_idle() -> None:
    service, first = step(make_service(**SCALED), Observed({}), 0)
    _, decided = step(service, Observed(stored(first, done=False), load=QUIET), 1000)

    assert decided.scaling.replicas is None


def test_a_service_without_engines_is_ready_if_its_revision_has_served() -> None:
    service, seen = serving(**SCALED)
    seen = replace(seen, load=QUIET)
    service, seen, first = at_scale(service.status, seen, 0, 100)
    seen = replace(seen, pods=(gateway_pod(),))

    service, decided = step(service, seen, 110)

    assert first.status.phase == decided.status.phase == "Idle"
    assert ready(first)[:2] == ready(decided)[:2] == ("True", "ScaledToZero")
    assert [c.status for c in decided.status.conditions] == ["True", "True"]
    assert decided.status.model is not None
    assert decided.status.model.state == "Unloaded"
    assert decided.apply == ()
    assert decided.status.last_scaling == LastScaling(
        from_replicas=1,
        to_replicas=0,
        reason="Idle",
        message="nobody asked for 60 s",
        time="2026-01-01T00:01:40Z",
    )


def test_a_new_revision_that_has_not_served_is_not_called_ready() -> None:
    service, seen = serving(**SCALED)
    service, seen, _ = at_scale(service.status, replace(seen, load=QUIET), 0, 100)
    changed = make_service(
        service.status, generation=9, replicas=0, engine={"contextLength": 64}, **SCALED
    )

    _, decided = step(changed, replace(seen, pods=(gateway_pod(),)), 120)

    assert ready(decided)[:2] == ("Unknown", "ScaledToZero")


def test_a_service_under_load_stays_ready_while_it_grows() -> None:
    service, seen = serving(**SCALED)
    busy = LoadFact(requests=11, waiting=0, idle_s=0)
    grown = make_service(service.status, generation=2, replicas=3, **SCALED)

    grown, decided = step(grown, replace(seen, load=busy), 20)

    assert ready(decided)[:2] == ("True", "Scaling")
    assert decided.status.last_scaling is not None
    assert decided.status.last_scaling.reason == "LoadAboveTarget"
    assert decided.status.last_scaling.message.startswith("11.0 requests run or wait; 4 per")
    (deployment,) = (body for kind, body in decided.apply if kind.kind == "Deployment")
    assert deployment["spec"]["replicas"] == 3


def test_a_pod_that_fails_while_it_grows_is_told() -> None:
    service, seen = serving(**SCALED)
    grown = make_service(service.status, generation=2, replicas=2, **SCALED)
    grown, first = step(grown, seen, 20)
    revision = grown.status.revision
    stuck = engine_pod(
        revision, 7, ready=False, running=False, waiting_reason="Unschedulable", waiting_message="x"
    )
    seen = replace(seen, stored={**seen.stored, **stored(first, done=False)})

    _, decided = step(grown, replace(seen, pods=(*seen.pods, stuck)), 30)

    assert ready(decided)[:2] == ("False", "Unschedulable")
    assert decided.status.phase == "Degraded"


def test_the_scale_subresource_finds_its_figures() -> None:
    service, seen = serving(**SCALED)
    deployment = settled(seen.stored["Deployment", "svc-engine"])
    assert service.status.replicas is not None
    assert service.status.replicas.current == deployment["status"]["replicas"] == 1
    assert service.status.selector == (
        "app.kubernetes.io/component=engine,flagscale.dev/inferenceservice=svc,"
        "flagscale.dev/owner-uid=uid-1"
    )
