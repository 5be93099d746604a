"""Worker pods of a running cluster: more at once, fewer only once Serve has left them."""

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from flagscale_operator.kinds.inference_service.rayservice.scaling import scale_cluster
from support.inference_services import step
from support.ray_services import ACTIVE, on_ray, ray_cluster, serving_on_ray, worker
from support.train_jobs import at

DRAINED_S = 60.0


def cluster(replicas: int) -> dict[str, Any]:
    group = {"groupName": "engine", "replicas": replicas}
    service = {
        "metadata": {"labels": {}},
        "spec": {"rayClusterConfig": {"workerGroupSpecs": [group]}},
    }
    return ray_cluster(ACTIVE, service)


def group_of(scaled: Any) -> dict[str, Any]:
    (group,) = scaled.cluster["spec"]["workerGroupSpecs"]
    found: dict[str, Any] = group
    return found


def idle(index: int, since: float) -> Any:
    return worker("r", index, ready=False, unready_since=at(since))


def test_more_replicas_are_more_workers_at_once() -> None:
    group = group_of(scale_cluster(cluster(1), [], 3, drained_s=DRAINED_S, now=at(0)))

    assert [group[k] for k in ("replicas", "minReplicas", "maxReplicas")] == [3, 3, 3]
    assert group["scaleStrategy"] == {"workersToDelete": []}


def test_a_worker_group_that_somebody_adds_is_left_alone() -> None:
    body = cluster(1)
    body["spec"]["workerGroupSpecs"].insert(0, {"groupName": "theirs", "replicas": 7})

    scaled = scale_cluster(body, [], 2, drained_s=DRAINED_S, now=at(0)).cluster

    assert scaled is not None
    groups = {g["groupName"]: g["replicas"] for g in scaled["spec"]["workerGroupSpecs"]}
    assert groups == {"theirs": 7, "engine": 2}


def test_a_cluster_whose_engines_somebody_has_removed_is_not_scaled() -> None:
    body = cluster(1)
    body["spec"]["workerGroupSpecs"] = []

    scaled = scale_cluster(body, [], 2, drained_s=DRAINED_S, now=at(0))

    assert (scaled.cluster, scaled.wait_s) == (None, None)


def test_as_many_as_wanted_is_no_write() -> None:
    scaled = scale_cluster(cluster(2), [worker("r"), worker("r", 1)], 2, drained_s=1, now=at(0))
    assert (scaled.cluster, scaled.wait_s) == (None, None)


def test_no_worker_goes_while_serve_still_runs_in_it() -> None:
    pods = [worker("r"), worker("r", 1)]
    assert scale_cluster(cluster(2), pods, 1, drained_s=DRAINED_S, now=at(999)).cluster is None


def test_a_worker_that_serve_has_left_goes_after_its_grace_and_by_its_name() -> None:
    pods = [worker("r"), idle(1, since=10)]
    early = scale_cluster(cluster(2), pods, 1, drained_s=DRAINED_S, now=at(30))
    late = group_of(scale_cluster(cluster(2), pods, 1, drained_s=DRAINED_S, now=at(71)))

    assert (early.cluster, early.wait_s) == (None, 40.0)
    assert late["scaleStrategy"] == {"workersToDelete": ["svc-engine-1"]}
    assert late["replicas"] == 1


@settings(max_examples=200, deadline=None)
@given(
    present=st.integers(1, 5),
    wanted=st.integers(1, 5),
    ready=st.lists(st.booleans(), min_size=0, max_size=5),
    since=st.floats(0, 100),
)
def test_a_ready_worker_is_never_named_and_none_is_left_to_chance(
    present: int, wanted: int, ready: list[bool], since: float
) -> None:
    pods = [worker("r", i) if up else idle(i, since) for i, up in enumerate(ready[:present])]
    scaled = scale_cluster(cluster(present), pods, wanted, drained_s=DRAINED_S, now=at(100))
    if scaled.cluster is None:
        return
    leaving = group_of(scaled)["scaleStrategy"]["workersToDelete"]

    assert {p.name for p in pods if p.ready}.isdisjoint(leaving)
    assert len(leaving) == max(0, present - wanted)


def test_a_changed_replica_count_reaches_serve_first_and_builds_no_second_cluster() -> None:
    service, seen = serving_on_ray(replicas=2)
    smaller = on_ray(service.status, generation=2, replicas=1)

    _, decided = step(smaller, seen, 20)

    assert [kind.kind for kind, _ in decided.apply] == ["RayService"]
    assert decided.replace == ()
    assert decided.status.rollout == service.status.rollout


def test_the_running_cluster_is_scaled_once_the_rayservice_is_written() -> None:
    service, seen = serving_on_ray()
    bigger = on_ray(service.status, generation=2, replicas=3)
    bigger, first = step(bigger, seen, 20)
    stored = dict(seen.stored)
    for _, body in first.apply:
        before = stored.get((body["kind"], body["metadata"]["name"]), {})
        stored[body["kind"], body["metadata"]["name"]] = {**before, **body}

    _, second = step(bigger, replace(seen, stored=stored), 21)

    ((kind, body),) = second.replace
    assert (kind.kind, body["metadata"]["name"]) == ("RayCluster", ACTIVE)
    assert body["metadata"]["resourceVersion"] == "3"
