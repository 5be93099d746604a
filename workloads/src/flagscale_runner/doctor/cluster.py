"""What a cluster has."""

from collections.abc import Sequence
from typing import Final

from flagscale_operator.kube.kinds import (
    INFERENCE_SERVICE,
    PYTORCH_JOB,
    RAY_SERVICE,
    TRAIN_JOB,
    KubeKind,
)
from flagscale_runner.base import Manifest, RunnerError
from flagscale_runner.cluster.runner import ClusterRunner
from flagscale_runner.doctor.check import Check

_OPERATOR: Final = {
    "app.kubernetes.io/name": "flagscale",
    "app.kubernetes.io/component": "operator",
}
_CRD_CHART: Final = "install the chart flagscale-crds"


def cluster_checks(runner: ClusterRunner) -> list[Check]:
    """Raises RunnerError when the cluster can't be reached."""
    version = runner.server_version()
    return [
        Check("api server", f"{runner.server}, {version}"),
        _kind(runner, TRAIN_JOB, _CRD_CHART),
        _kind(runner, INFERENCE_SERVICE, _CRD_CHART),
        _kind(runner, PYTORCH_JOB, "TrainJobs need Kubeflow's training-operator; install it"),
        _kind(runner, RAY_SERVICE, "services on Ray need KubeRay; install it, or use runtime pods",
              optional=True),
        _operator(runner),
    ]  # fmt: skip


def _kind(runner: ClusterRunner, kind: KubeKind, missing: str, *, optional: bool = False) -> Check:
    served = runner.serves(kind)
    return Check(kind.plural, "served" if served else "not served", "" if served else missing,
                 optional)  # fmt: skip


def _operator(runner: ClusterRunner) -> Check:
    name = "operator"
    try:
        found = runner.deployments(_OPERATOR)
    except RunnerError as error:
        return Check(name, f"unknown: {error}", optional=True)
    if not found:
        return Check(name, "absent", "install the chart flagscale")
    return _state(name, found)


def _state(name: str, found: Sequence[Manifest]) -> Check:
    body = found[0]
    where = f"{body['metadata']['namespace']}/{body['metadata']['name']}"
    ready = (body.get("status") or {}).get("readyReplicas", 0)
    wrong = (
        ""
        if ready
        else f"it is not ready: kubectl describe deployment -n {where.replace('/', ' ')}"
    )
    return Check(name, f"{where}, {ready} ready", wrong)
