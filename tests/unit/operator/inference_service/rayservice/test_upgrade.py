"""Upgrades on Ray: what is called ready, when a new revision is given up, and the way back."""

import json
from dataclasses import replace
from typing import Any

import pytest

from flagscale_operator.kinds.inference_service.facts import Observed
from flagscale_operator.kinds.inference_service.rayservice.upgrade import DEADLINE_S
from flagscale_operator.kinds.inference_service.reconcile import plan
from flagscale_operator.kinds.inference_service.view import ServiceView
from support.inference_services import CONTEXT, gateway_pod, ready, step, train_job
from support.ray_services import (
    ACTIVE,
    PENDING,
    applied,
    on_ray,
    reported,
    serving_on_ray,
    worker,
)
from support.train_jobs import at

CHANGE = {"engine": {"seed": 1}}
EXIT = "boom\nflagscale-exit: " + json.dumps({"exitCode": 1, "message": "serve: no such model"})


def condition(decided: Any, type_: str) -> tuple[str, str]:
    found = next(c for c in decided.status.conditions if c.type == type_)
    return found.status, found.reason


def upgrading(**said: Any) -> tuple[ServiceView, Observed]:
    """A service whose second revision has been applied 20 s after the first one's start."""
    service, seen = serving_on_ray()
    service = on_ray(service.status, generation=2, **CHANGE, upgradeDeadlineSeconds=60)
    service, first = step(service, seen, 20)
    stored = reported(
        applied(first, dict(seen.stored)), pending=PENDING, **{"status": "DEPLOYING", **said}
    )
    return service, replace(seen, stored=stored)


def test_a_service_that_serves_writes_nothing_and_is_recorded() -> None:
    service, seen = serving_on_ray(replicas=2)
    again = plan(service, seen, CONTEXT, now=at(99))

    assert (again.apply, again.delete, again.replace, again.report) == ((), (), (), ())
    assert again.status == service.status
    assert ready(again)[:2] == ("True", "Serving")
    assert [name for kind, name in seen.stored if kind == "ControllerRevision"] == [
        f"svc-{service.status.revision}"
    ]


@pytest.mark.parametrize(
    "said",
    [
        {"status": "DEPLOYING"},
        {"status": "UNHEALTHY"},
        {"current": False},
        {"active": "", "pending": PENDING},
        {"active": "another"},
    ],
)
def test_kuberays_ready_is_not_believed(said: dict[str, Any]) -> None:
    service, seen = serving_on_ray()
    body = seen.stored["RayService", "svc"]
    stored = reported(dict(seen.stored), **said)
    endpoints = {"conditions": [{"type": "Ready", "status": "True"}], "numServeEndpoints": 2}
    told = stored["RayService", "svc"]
    stored["RayService", "svc"] = {**body, "status": {**told["status"], **endpoints}}

    _, decided = step(service, replace(seen, stored=stored), 30)

    assert ready(decided)[0] == "False"


def test_an_engine_that_is_not_ready_is_not_ready_whatever_ray_says() -> None:
    service, seen = serving_on_ray()
    pods = (worker(service.status.revision, ready=False), gateway_pod())

    _, decided = step(service, replace(seen, pods=pods), 30)

    assert ready(decided)[:2] == ("False", "Loading")


def test_a_second_cluster_is_announced() -> None:
    service, seen = upgrading()
    _, decided = step(service, seen, 30)

    assert condition(decided, "Upgrading") == ("True", "SecondCluster")
    assert ready(decided)[1] == "RollingUpdate"
    assert decided.look_again_s == 50.0


def test_an_upgrade_that_serves_replaces_the_record_of_the_one_before() -> None:
    service, seen = upgrading()
    stored = reported(dict(seen.stored), active=PENDING)
    pods = (worker(service.status.revision, cluster=PENDING), gateway_pod())
    seen = replace(seen, stored=stored, pods=pods)

    service, decided = step(service, seen, 60)
    kept = applied(decided, stored)
    service, later = step(service, replace(seen, stored=kept), 61)

    assert ready(decided)[0] == "True"
    assert [kind.kind for kind, _ in decided.apply] == ["ControllerRevision"]
    assert [kind for kind, _ in later.delete] == ["ControllerRevision"]


def test_a_stuck_upgrade_is_rolled_back_at_its_deadline_and_says_why() -> None:
    service, seen = upgrading(status="DEPLOY_FAILED", message=EXIT)
    before = service.status.revision
    service, early = step(service, seen, 79)
    service, late = step(service, seen, 81)

    assert early.apply == ()
    assert ready(early)[1] == "ConfigError"
    assert [body["metadata"]["name"] for _, body in late.apply] == ["svc"]
    assert ready(late)[:2] == ("False", "UpgradeRolledBack")
    assert "no such model" in ready(late)[2]
    assert late.status.revision != before
    assert condition(late, "Upgrading") == ("False", "RolledBack")
    assert condition(late, "Available")[0] == "True"
    assert late.status.phase == "Degraded"


def test_an_edit_that_was_rolled_back_and_is_taken_back_changes_no_engine() -> None:
    service, seen = serving_on_ray(engine={"name": "transformers"})
    needs = {"name": "auto", "kvCacheTokens": 64}
    service = on_ray(service.status, generation=2, engine=needs, upgradeDeadlineSeconds=60)
    service, first = step(service, seen, 20)
    failed = {"status": "DEPLOY_FAILED", "message": EXIT}
    stored = reported(applied(first, dict(seen.stored)), pending=PENDING, **failed)
    service, late = step(service, replace(seen, stored=stored), 81)
    restored = reported(applied(late, stored), status="RUNNING")
    again, after = step(service, replace(seen, stored=restored), 90)

    assert ready(late)[1] == ready(after)[1] == "UpgradeRolledBack"
    assert "vllm is what spec.engine.name auto stands for here" in ready(late)[2]
    assert (service.engine, late.status.engine) == ("vllm", "transformers")
    assert (again.engine, after.status.engine) == ("vllm", "transformers")
    assert on_ray(after.status, engine={"name": "auto"}).engine == "transformers"


def rolled_back() -> tuple[ServiceView, Observed]:
    service, seen = upgrading(status="DEPLOY_FAILED", message=EXIT)
    service, late = step(service, seen, 81)
    return service, replace(seen, stored=applied(late, dict(seen.stored)))


def test_the_restored_objects_are_those_of_before() -> None:
    _, old = serving_on_ray()
    _, seen = rolled_back()
    for key in (("RayService", "svc"), ("Deployment", "svc-gateway")):
        assert seen.stored[key]["spec"] == old.stored[key]["spec"]


def test_the_failed_cluster_is_called_off_and_no_third_one_is_built() -> None:
    service, seen = rolled_back()
    stored = reported(dict(seen.stored), pending=PENDING)

    service, decided = step(service, replace(seen, stored=stored), 82)
    settled = reported(dict(stored))
    _, later = step(service, replace(seen, stored=settled), 90)

    ((kind, status),) = decided.report
    assert kind.kind == "RayService"
    assert status["status"] == {"pendingServiceStatus": {"rayClusterName": ""}}
    assert status["metadata"]["resourceVersion"] == "7"
    assert (later.report, later.apply) == ((), ())
    assert ready(later)[1] == "UpgradeRolledBack"


def test_an_upgrade_is_not_called_off_where_another_revision_is_active() -> None:
    service, seen = rolled_back()
    stored = reported(dict(seen.stored), pending=PENDING)
    stored["RayCluster", ACTIVE] = stored["RayCluster", PENDING] = {
        **stored["RayCluster", ACTIVE],
        "spec": {"workerGroupSpecs": [{"template": {"metadata": {"labels": {}}}}]},
    }
    _, decided = step(service, replace(seen, stored=stored), 82)

    assert decided.report == ()


def test_a_given_up_revision_is_not_tried_again_but_a_new_one_is() -> None:
    service, seen = rolled_back()
    same, decided = step(service, seen, 500)
    other = on_ray(same.status, generation=3, engine={"seed": 2}, upgradeDeadlineSeconds=60)
    _, tried = step(other, seen, 600)

    assert decided.apply == ()
    assert "RayService" in [kind.kind for kind, _ in tried.apply]
    assert tried.status.rollout is not None
    assert tried.status.rollout.rolled_back is None


def test_replicas_change_while_rolled_back() -> None:
    service, seen = rolled_back()
    more = on_ray(service.status, generation=3, **CHANGE, replicas=3, upgradeDeadlineSeconds=60)
    _, decided = step(more, seen, 500)

    (spec,) = [body["spec"] for kind, body in decided.apply if kind.kind == "RayService"]
    assert "num_replicas: 3" in spec["serveConfigV2"]
    assert ready(decided)[1] == "UpgradeRolledBack"


def test_a_first_revision_has_nothing_to_go_back_to() -> None:
    service, first = step(on_ray(), Observed({}, train_job=train_job()))
    failed = {"active": "", "pending": PENDING, "status": "DEPLOY_FAILED", "message": EXIT}
    seen = Observed(reported(applied(first), **failed), (worker("x", cluster=PENDING),))
    service, decided = step(service, seen, DEADLINE_S + 100)

    assert decided.apply == ()
    assert ready(decided)[1] == "ConfigError"
    assert decided.status.phase == "Failed"
    assert decided.status.model is not None
    assert decided.status.model.state == "FailedToLoad"
    assert decided.status.model.last_failure is not None
    assert decided.status.model.last_failure.exit_code == 1


def test_what_kuberay_made_is_never_deleted() -> None:
    service, seen = upgrading()
    foreign = {**seen.stored["RayCluster", ACTIVE]}
    stored = {**seen.stored, ("Service", "svc-head-svc"): foreign}
    _, decided = step(service, replace(seen, stored=stored), 30)

    assert decided.delete == ()


def test_a_refused_pod_of_the_cluster_is_told() -> None:
    service, seen = serving_on_ray()
    why = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}
    cluster = {**seen.stored["RayCluster", ACTIVE], "status": {"conditions": [why]}}
    stored = {**seen.stored, ("RayCluster", ACTIVE): cluster}
    _, decided = step(service, replace(seen, stored=stored, pods=(gateway_pod(),)), 30)

    assert ready(decided)[1] == "PodsRefused"
    assert "exceeded quota" in ready(decided)[2]


def test_a_kuberay_that_does_not_run_is_told() -> None:
    service, first = step(on_ray(), Observed({}, train_job=train_job()))
    _, decided = step(service, Observed(applied(first)), 30)

    assert ready(decided)[1] == "Starting"
    assert "KubeRay has not taken up" in ready(decided)[2]
