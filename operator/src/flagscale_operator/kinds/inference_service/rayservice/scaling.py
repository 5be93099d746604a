"""Replicas of running Ray clusters: KubeRay does not take them over from a changed RayService.

More replicas are more worker pods at once. Fewer are fewer pods only when Ray Serve has ended the
replicas in them: the pods that go are named, since KubeRay would otherwise take any.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flagscale_operator.kinds.inference_service.facts import ServingPod
from flagscale_operator.kinds.inference_service.rayservice.render import GROUP_NAME

Manifest = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Scaling:
    """A RayCluster to write, or how long to wait before looking again."""

    cluster: dict[str, Any] | None = None
    wait_s: float | None = None


def scale_cluster(
    body: Manifest, pods: Sequence[ServingPod], wanted: int, *, drained_s: float, now: datetime
) -> Scaling:
    """What to do about one cluster with these worker pods.

    A pod may go when it has not been ready for `drained_s` seconds, the longest that Serve lets the
    replica in it end, while as many others as wanted are ready.
    """
    group = _engines_of(body)
    if group is None:
        return Scaling()  # somebody has changed it; KubeRay makes no such cluster of ours
    present = group.get("replicas", 0)
    if present == wanted:
        return Scaling()
    if present < wanted:
        return Scaling(_resized(body, wanted, ()))
    surplus = present - wanted
    if sum(p.ready for p in pods) != wanted:
        return Scaling()  # Serve is at it; a pod's readiness is news
    idle = sorted((p for p in pods if not p.ready), key=lambda p: (not p.running, p.name))
    ages = [(now - p.unready_since).total_seconds() for p in idle if p.unready_since]
    left_s = drained_s - min(ages, default=0.0)
    if len(ages) < surplus or left_s > 0:
        return Scaling(wait_s=max(1.0, left_s))
    return Scaling(_resized(body, wanted, [p.name for p in idle[:surplus]]))


def _engines_of(cluster: Manifest) -> dict[str, Any] | None:
    groups: Sequence[dict[str, Any]] = (cluster.get("spec") or {}).get("workerGroupSpecs") or ()
    return next((group for group in groups if group.get("groupName") == GROUP_NAME), None)


def _resized(body: Manifest, wanted: int, leaving: Sequence[str]) -> dict[str, Any]:
    """The whole object, to be replaced under its resourceVersion."""
    cluster = deepcopy(dict(body))
    cluster.pop("status", None)
    group = _engines_of(cluster) or {}
    group.update(dict.fromkeys(("replicas", "minReplicas", "maxReplicas"), wanted))
    group["scaleStrategy"] = {"workersToDelete": list(leaving)}
    return cluster
