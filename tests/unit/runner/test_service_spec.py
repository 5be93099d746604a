from typing import Any

import pytest

from flagscale_runner.base import RunnerError
from flagscale_runner.local.service_spec import service_here

MODEL: dict[str, Any] = {"volume": {"claimName": "m"}}


def test_a_service_runs_on_pods_here() -> None:
    body = service_here({"spec": {"model": MODEL, "engine": {"name": "transformers"}}})
    assert body["spec"]["runtime"] == "pods"


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"runtime": "rayservice"}, "spec.runtime: .* got rayservice; leave it out here"),
        ({"autoscaling": {"maxReplicas": 2}}, "spec.autoscaling: .*; set replicas"),
        ({"auth": {"apiKeysSecretRef": {}}}, "spec.auth: is for a cluster"),
        ({"model": {"uri": "s3://a/b"}}, r"spec.model.uri: .* got s3://a/b; download it"),
        ({"model": {"huggingFace": {"repo": "a/b"}}}, "spec.model.huggingFace: .*--volume"),
    ],
)
def test_what_needs_a_cluster_is_refused_by_its_field(spec: dict[str, Any], said: str) -> None:
    with pytest.raises(RunnerError, match=said):
        service_here({"spec": {"model": MODEL, **spec}})
