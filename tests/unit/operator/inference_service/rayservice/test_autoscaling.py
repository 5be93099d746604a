"""A service on Ray by load: the autoscaler of pods too, whose number Serve and KubeRay follow."""

from dataclasses import replace
from typing import Any

import pytest
import yaml

from flagscale_operator.kinds.inference_service.facts import Observed
from flagscale_operator.kinds.inference_service.load import LoadFact
from flagscale_operator.kinds.inference_service.rayservice.serve_applications import (
    serve_applications,
)
from flagscale_operator.kinds.inference_service.reconcile import Plan
from flagscale_operator.kinds.inference_service.view import ServiceView
from support.inference_services import gateway_pod, ready, step
from support.ray_services import ACTIVE, PENDING, applied, on_ray, reported, serving_on_ray, worker
from support.train_jobs import at

LIMITS = {"minReplicas": 0, "maxReplicas": 3, "targetConcurrency": 4, "scaleDownDelaySeconds": 60}
SCALED: dict[str, Any] = {"autoscaling": LIMITS, "upgradeDeadlineSeconds": 60}
QUIET = LoadFact(requests=0, waiting=0, idle_s=500)
WAITED_FOR = LoadFact(requests=1, waiting=2, idle_s=0)
BUSY = LoadFact(requests=11, waiting=0, idle_s=0)


def written(decided: Plan, kind: str) -> dict[str, Any]:
    (body,) = (body for written, body in decided.apply if written.kind == kind)
    spec: dict[str, Any] = body["spec"]
    return spec


def at_scale(
    service: ServiceView, seen: Observed, replicas: int, seconds: float, **spec: Any
) -> tuple[ServiceView, Observed, Plan]:
    """The scale was changed, and KubeRay has taken up what was written."""
    changed = on_ray(service.status, generation=9, replicas=replicas, **{**SCALED, **spec})
    changed, decided = step(changed, seen, seconds)
    return changed, replace(seen, stored=reported(applied(decided, dict(seen.stored)))), decided


def at_zero() -> tuple[ServiceView, Observed]:
    service, seen = serving_on_ray(**SCALED)
    service, seen, _ = at_scale(service, replace(seen, load=QUIET), 0, 100)
    return service, replace(seen, pods=(gateway_pod(),))


def test_the_autoscaler_scales_the_service_and_the_ray_service_follows() -> None:
    service, seen = serving_on_ray(**SCALED)
    target = seen.stored["HorizontalPodAutoscaler", "svc"]["spec"]["scaleTargetRef"]

    grown, _, decided = at_scale(service, replace(seen, load=BUSY), 3, 20)

    assert target["kind"] == "InferenceService"
    assert "num_replicas: 3" in written(decided, "RayService")["serveConfigV2"]
    assert written(decided, "PodDisruptionBudget")["minAvailable"] == 2
    assert ready(decided)[:2] == ("True", "Scaling")
    assert grown.status.last_scaling is not None
    assert grown.status.last_scaling.reason == "LoadAboveTarget"
    assert grown.status.revision == service.status.revision


def test_neither_ray_nor_kuberay_scales_beside_it() -> None:
    _, seen = serving_on_ray(**SCALED)
    spec = seen.stored["RayService", "svc"]["spec"]
    cluster = spec["rayClusterConfig"]
    (group,) = cluster["workerGroupSpecs"]

    assert "autoscaling_config" not in spec["serveConfigV2"]
    assert not cluster.get("enableInTreeAutoscaling")
    assert group["minReplicas"] == group["maxReplicas"] == group["replicas"] == 1


@pytest.mark.parametrize(
    ("replicas", "load", "wanted"), [(1, QUIET, 0), (1, BUSY, None), (0, WAITED_FOR, 1)]
)
def test_the_operator_goes_to_none_and_from_none(
    replicas: int, load: LoadFact, wanted: int | None
) -> None:
    service, seen = serving_on_ray(**SCALED)
    _, _, decided = at_scale(service, replace(seen, load=load), replicas, 100)

    assert decided.scaling.replicas == wanted


def test_none_is_bounds_that_serve_takes_as_it_takes_no_number_0() -> None:
    text = serve_applications(on_ray(replicas=0, **SCALED))
    (deployment,) = yaml.safe_load(text)["applications"][0]["deployments"]

    assert "num_replicas" not in deployment
    assert deployment["autoscaling_config"]["initial_replicas"] == 0


def test_a_service_without_engines_is_ready_and_writes_nothing() -> None:
    service, seen = at_zero()
    service, decided = step(service, seen, 200)
    same, again = step(service, seen, 300)

    assert ready(decided)[:2] == ("True", "ScaledToZero")
    assert (again.apply, again.delete, again.replace) == ((), (), ())
    assert same.status == service.status


def test_the_last_worker_goes_once_serve_has_left_it_and_the_head_stays() -> None:
    service, seen = at_zero()
    left = worker(service.status.revision, ready=False, unready_since=at(110))
    _, decided = step(service, replace(seen, pods=(left, gateway_pod())), 200)

    ((_, cluster),) = decided.replace
    (group,) = cluster["spec"]["workerGroupSpecs"]
    assert [group[k] for k in ("replicas", "minReplicas", "maxReplicas")] == [0, 0, 0]
    assert group["scaleStrategy"] == {"workersToDelete": [left.name]}
    assert cluster["spec"]["headGroupSpec"]


def test_a_service_without_engines_needs_no_pod_to_be_kept() -> None:
    _, seen = at_zero()
    assert seen.stored["PodDisruptionBudget", "svc-engine"]["spec"]["minAvailable"] == 0


def upgrading(
    replicas: int, ready_pods: int, *, active: str = PENDING
) -> tuple[ServiceView, Observed, str]:
    """20 s after the start another revision was asked for; its cluster has taken over since."""
    service, seen = serving_on_ray(**SCALED)
    before = str(service.status.revision)
    change = {"engine": {"seed": 1}}
    changed = on_ray(service.status, generation=2, replicas=replicas, **SCALED, **change)
    changed, first = step(changed, replace(seen, load=BUSY), 20)
    stored = reported(applied(first, dict(seen.stored)), active=active, status="DEPLOYING")
    pods = [worker(changed.status.revision, i, cluster=active) for i in range(ready_pods)]
    return changed, replace(seen, stored=stored, pods=(*pods, gateway_pod()), load=BUSY), before


def test_an_upgrade_is_not_given_up_while_more_replicas_of_it_start() -> None:
    service, seen, _ = upgrading(replicas=3, ready_pods=1)
    _, decided = step(service, seen, 500)

    assert ready(decided)[:2] == ("True", "Scaling")
    assert decided.status.rollout is not None
    assert decided.status.rollout.rolled_back is None


def test_an_upgrade_that_never_served_is_given_up_whatever_the_load_asks_for() -> None:
    service, seen, before = upgrading(replicas=3, ready_pods=0)
    _, decided = step(service, seen, 500)

    assert ready(decided)[1] == "UpgradeRolledBack"
    assert decided.status.revision == before


def test_a_revision_that_came_while_nobody_asked_has_its_whole_time_once_somebody_does() -> None:
    service, seen, before = upgrading(replicas=0, ready_pods=0)
    seen = replace(seen, stored=reported(dict(seen.stored), active=PENDING))
    service, idle = step(service, seen, 500)
    woken = on_ray(service.status, generation=3, replicas=1, engine={"seed": 1}, **SCALED)
    woken, first = step(woken, seen, 600)
    seen = replace(seen, stored=reported(applied(first, dict(seen.stored)), active=PENDING))

    woken, in_time = step(woken, seen, 650)
    _, too_late = step(woken, seen, 661)

    assert [kind.kind for kind, _ in idle.apply] == []
    assert in_time.status.rollout is not None
    assert in_time.status.rollout.rolled_back is None
    assert ready(too_late)[1] == "UpgradeRolledBack"
    assert too_late.status.revision == before


def test_scaling_leaves_one_cluster_and_says_so() -> None:
    service, seen = serving_on_ray(**SCALED)
    _, seen, _ = at_scale(service, replace(seen, load=BUSY), 3, 20)

    clusters = [name for kind, name in seen.stored if kind == "RayCluster"]
    assert clusters == [ACTIVE]
