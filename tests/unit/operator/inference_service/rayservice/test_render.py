"""The RayService of a service: what is a new cluster, what is in place, what is ours alone."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from flagscale_operator.kinds.inference_service.rayservice.render import RAY_VERSION
from flagscale_operator.kinds.inference_service.render import render_children, revision_of
from flagscale_operator.kinds.inference_service.source import ModelSource
from support.inference_services import CONTEXT
from support.ray_services import on_ray

SOURCE = ModelSource("models", "tiny/model", "sha256:1")
ROOT = Path(__file__).parents[5]


def ray_service(**spec: Any) -> dict[str, Any]:
    made = {kind.kind: body for kind, body in render_children(on_ray(**spec), SOURCE, CONTEXT)}
    found: dict[str, Any] = made["RayService"]["spec"]
    return found


def groups(spec: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    cluster = spec["rayClusterConfig"]
    return cluster["headGroupSpec"], cluster["workerGroupSpecs"][0]


def without_replicas(spec: dict[str, Any]) -> dict[str, Any]:
    cluster = dict(spec["rayClusterConfig"])
    (group,) = cluster["workerGroupSpecs"]
    kept = {k: v for k, v in group.items() if "eplicas" not in k}
    return {**cluster, "workerGroupSpecs": [kept]}


@settings(max_examples=30, deadline=None)
@given(replicas=st.integers(1, 64))
def test_replicas_are_serves_and_no_new_cluster(replicas: int) -> None:
    one, many = ray_service(), ray_service(replicas=replicas)
    (deployment,) = yaml.safe_load(many["serveConfigV2"])["applications"][0]["deployments"]

    assert without_replicas(one) == without_replicas(many)
    assert deployment["num_replicas"] == replicas
    assert {groups(many)[1][k] for k in ("replicas", "minReplicas", "maxReplicas")} == {replicas}


@pytest.mark.parametrize(
    "change",
    [
        {"limits": {"requestTimeoutSeconds": 30, "queueSize": 1, "maxBodyBytes": 2048}},
        {"routing": {"policy": "roundRobin"}},
        {"auth": {"apiKeysSecretRef": {"name": "keys", "key": "k"}}},
    ],
)
def test_what_the_gateway_keeps_is_no_new_cluster(change: dict[str, Any]) -> None:
    assert ray_service(**change) == ray_service()


@pytest.mark.parametrize(
    "change",
    [
        {"engine": {"seed": 1}},
        {"image": "other/image:1"},
        {"model": {"name": "other"}},
        {"resources": {"limits": {"memory": "1Gi"}}},
        {"podTemplate": {"tolerations": [{"key": "a", "operator": "Exists"}]}},
        {"podTemplate": {"nodeSelector": {"a": "b"}}},
    ],
)
def test_every_change_of_a_worker_is_another_revision_that_its_pods_name(
    change: dict[str, Any],
) -> None:
    """KubeRay leaves some fields out of its own hash; our label in the template is in it."""
    revisions = {revision_of(on_ray(**spec), SOURCE, CONTEXT) for spec in ({}, change)}
    worker = groups(ray_service(**change))[1]["template"]["metadata"]["labels"]

    assert len(revisions) == 2
    assert worker["flagscale.dev/revision"] in revisions


def test_an_unchanged_service_is_the_same_text() -> None:
    assert ray_service()["serveConfigV2"] == ray_service(engine={"seed": 1})["serveConfigV2"]


def test_one_engine_fits_into_a_worker_and_none_into_the_head() -> None:
    head, worker = groups(ray_service(resources={"limits": {"cpu": "8"}}))
    (deployment,) = yaml.safe_load(ray_service()["serveConfigV2"])["applications"][0]["deployments"]

    assert head["rayStartParams"]["num-cpus"] == "0"
    assert worker["rayStartParams"]["num-cpus"] == "1"
    assert deployment["ray_actor_options"]["num_cpus"] == 1


@pytest.mark.parametrize("which", [0, 1])
def test_pods_of_the_cluster_meet_pod_security_restricted(which: int) -> None:
    spec = groups(ray_service())[which]["template"]["spec"]
    (container,) = spec["containers"]

    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["automountServiceAccountToken"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    # KubeRay's own probes would ask for wget.
    assert container["readinessProbe"]["httpGet"]
    assert container["livenessProbe"]["httpGet"]
    assert "command" not in container


def test_serve_ends_a_replica_within_the_pods_grace() -> None:
    for grace in (40, 60, 600):
        spec = ray_service(podTemplate={"terminationGracePeriodSeconds": grace})
        (deployment,) = yaml.safe_load(spec["serveConfigV2"])["applications"][0]["deployments"]

        assert 0 < deployment["graceful_shutdown_timeout_s"] < grace


def test_the_version_of_ray_is_the_serving_images() -> None:
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    assert [p["version"] for p in lock["package"] if p["name"] == "ray"] == [RAY_VERSION]
