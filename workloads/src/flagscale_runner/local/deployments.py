"""What the Deployment controller does with the pods of one Deployment, decided (pure)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from flagscale_operator.kinds.clock import parse_time
from flagscale_operator.kinds.fingerprint import fingerprint
from flagscale_operator.kube.client import Manifest
from flagscale_operator.kube.kinds import DEPLOYMENT, POD

HASH_LABEL: Final = "pod-template-hash"
LAST_END: Final = "flagscale.dev/last-end"
"""Annotation of a pod that stands for a restarted container: which one, and how it ended before."""
RESTARTS: Final = "flagscale.dev/restarts"
BACKOFF_S: Final = 10.0
BACKOFF_LIMIT_S: Final = 300.0
"""As the kubelet's, between restarts of a container."""


@dataclass(frozen=True, slots=True)
class DeploymentPlan:
    """What to do about the pods of one Deployment, and its status."""

    make: int
    restart: tuple[str, ...]
    """Names of ended pods whose turn has come."""
    delete: tuple[str, ...]
    status: dict[str, Any]


def template_hash(deployment: Manifest) -> str:
    """What pods of the newest template carry."""
    return fingerprint(deployment["spec"]["template"])[:10]


def plan_deployment(
    deployment: Manifest, pods: Sequence[Manifest], now: datetime
) -> DeploymentPlan:
    """New pods beside old ones; the old ones go once all new ones are ready."""
    wanted, newest = deployment["spec"]["replicas"], template_hash(deployment)
    staying = sorted((p for p in pods if "deletionTimestamp" not in p["metadata"]), key=_name)
    new = [p for p in staying if p["metadata"]["labels"][HASH_LABEL] == newest]
    old = [p for p in staying if p not in new]
    kept, surplus = new[:wanted], new[wanted:]
    all_ready = len(kept) == wanted and all(map(is_ready, kept))
    return DeploymentPlan(
        make=max(0, wanted - len(new)),
        restart=tuple(_name(p) for p in kept if _may_restart(p, now)),
        delete=tuple(_name(p) for p in (*surplus, *(old if all_ready else ()))),
        status={
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": len(staying),
            "updatedReplicas": len(new),
            "readyReplicas": sum(map(is_ready, staying)),
        },
    )


def pod_of(deployment: Manifest, suffix: str, ended: Manifest | None = None) -> Manifest:
    """A pod of the newest template, in place of one that has ended where there is one."""
    template, metadata = deployment["spec"]["template"], deployment["metadata"]
    owner = {"apiVersion": DEPLOYMENT.api_version, "kind": DEPLOYMENT.kind,
             "name": metadata["name"], "uid": metadata["uid"], "controller": True}  # fmt: skip
    labels = {**template["metadata"]["labels"], HASH_LABEL: template_hash(deployment)}
    told = {
        LAST_END: json.dumps(_end(ended)),
        RESTARTS: str(_restarts(ended) + 1),
    } if ended else {}  # fmt: skip
    return {
        "apiVersion": POD.api_version,
        "kind": POD.kind,
        "metadata": {
            "name": _name(ended) if ended else f"{metadata['name']}-{suffix}",
            "namespace": metadata["namespace"],
            "labels": labels,
            "annotations": {**(template["metadata"].get("annotations") or {}), **told},
            "ownerReferences": [owner],
        },
        "spec": template["spec"],
        "status": {"phase": "Pending"},
    }


def is_ready(pod: Manifest) -> bool:
    """Whether its probe was answered."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _may_restart(pod: Manifest, now: datetime) -> bool:
    ended = _end(pod)
    if not ended:
        return False
    wait_s = min(BACKOFF_S * 2.0 ** _restarts(pod), BACKOFF_LIMIT_S)
    at = parse_time(ended["state"]["finishedAt"])
    return at is None or (now - at).total_seconds() >= wait_s


def _restarts(pod: Manifest) -> int:
    return int((pod["metadata"].get("annotations") or {}).get(RESTARTS, 0))


def _end(pod: Manifest) -> dict[str, Any] | None:
    """Of the container that has brought the pod to its end."""
    status = pod.get("status") or {}
    if status.get("phase") not in ("Succeeded", "Failed"):
        return None
    containers = (*status["containerStatuses"], *status.get("initContainerStatuses", ()))
    ended = (c for c in containers if "terminated" in c["state"])
    return next(({"container": c["name"], "state": c["state"]["terminated"]} for c in ended), None)


def _name(pod: Manifest) -> str:
    return str(pod["metadata"]["name"])
