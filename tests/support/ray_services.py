"""What KubeRay and Ray Serve make of a service, for tests of decisions."""

from dataclasses import replace
from typing import Any

from flagscale_operator.kinds.inference_service.facts import ChildKey, Manifest, Observed
from flagscale_operator.kinds.inference_service.reconcile import Plan
from flagscale_operator.kinds.inference_service.view import ServiceView
from support.inference_services import (
    engine_pod,
    gateway_pod,
    make_service,
    settled,
    step,
    train_job,
)

ACTIVE, PENDING = "svc-aaaaa", "svc-bbbbb"


def on_ray(*args: Any, **spec: Any) -> ServiceView:
    """A service of runtime rayservice."""
    return make_service(*args, **{"runtime": "rayservice", **spec})


def applied(decided: Plan, before: dict[ChildKey, Manifest] | None = None) -> dict[ChildKey, Any]:
    """What the API server has after these writes."""
    made = {
        (kind.kind, body["metadata"]["name"]): settled(body) if "spec" in body else body
        for kind, body in decided.apply
    }
    return {key: b for key, b in {**(before or {}), **made}.items() if key not in decided.delete}


def reported(
    stored: dict[ChildKey, Any],
    *,
    active: str = ACTIVE,
    pending: str = "",
    status: str = "RUNNING",
    message: str = "",
    current: bool = True,
) -> dict[ChildKey, Any]:
    """The same with KubeRay's word about the RayService, and the clusters that it has made."""
    body = stored["RayService", "svc"]
    app = {"engines": {"status": status, "message": message, "serveDeploymentStatuses": {}}}
    newest = "pendingServiceStatus" if pending else "activeServiceStatus"
    said: dict[str, Any] = {
        "observedGeneration": 1 if current else 0,
        "activeServiceStatus": {"rayClusterName": active},
        "pendingServiceStatus": {"rayClusterName": pending},
    }
    said[newest]["applicationStatuses"] = app
    metadata = {**body["metadata"], "resourceVersion": "7"}
    service = {**body, "metadata": metadata, "status": said}
    clusters = {
        ("RayCluster", name): stored.get(("RayCluster", name)) or ray_cluster(name, body)
        for name in (active, pending)
        if name
    }
    return {**stored, **clusters, ("RayService", "svc"): service}


def ray_cluster(name: str, service: Manifest) -> dict[str, Any]:
    """A cluster as KubeRay makes it: with the labels of its RayService."""
    metadata = {
        "name": name,
        "namespace": "ns",
        "resourceVersion": "3",
        "labels": dict(service["metadata"]["labels"]),
        "ownerReferences": [{"kind": "RayService", "name": "svc", "uid": "r", "controller": True}],
    }
    return {"metadata": metadata, "spec": service["spec"]["rayClusterConfig"]}


def worker(revision: str | None, index: int = 0, cluster: str = ACTIVE, **facts: Any) -> Any:
    """A worker pod of a Ray cluster."""
    return engine_pod(revision, index, cluster=cluster, **facts)


def serving_on_ray(**spec: Any) -> tuple[ServiceView, Observed]:
    """A service on Ray that serves and is recorded."""
    service, first = step(on_ray(**spec), Observed({}, train_job=train_job()))
    pods = [worker(service.status.revision, index) for index in range(service.spec.replicas)]
    seen = Observed(reported(applied(first)), (*pods, gateway_pod()), train_job())
    service, second = step(service, seen, 10)
    seen = replace(seen, stored=applied(second, dict(seen.stored)))
    service, _ = step(service, seen, 11)
    return service, seen
