"""The last revision that has served, kept as a ControllerRevision, and the way back to it."""

from collections.abc import Mapping, Sequence
from typing import Any

from flagscale_api import keys
from flagscale_operator.kinds.inference_service.facts import ChildKey, Observed
from flagscale_operator.kinds.inference_service.names import deployment_name, labels
from flagscale_operator.kinds.inference_service.rayservice.facts import Baseline
from flagscale_operator.kinds.inference_service.rayservice.render import scaled
from flagscale_operator.kinds.inference_service.render import with_hash
from flagscale_operator.kinds.inference_service.view import ServiceView
from flagscale_operator.kinds.ownership import owner_reference
from flagscale_operator.kube.kinds import (
    CONTROLLER_REVISION,
    DEPLOYMENT,
    INFERENCE_SERVICE,
    RAY_SERVICE,
    KubeKind,
)

Manifest = Mapping[str, Any]
Children = Sequence[tuple[KubeKind, dict[str, Any]]]


def record(service: ServiceView, children: Children, observed: Observed, revision: str) -> Manifest:
    """A ControllerRevision with what has just been seen to serve."""
    specs = {(kind, body["metadata"]["name"]): body["spec"] for kind, body in children}
    numbers = [body.get("revision", 0) for (kind, _), body in observed.stored.items()
               if kind == CONTROLLER_REVISION.kind]  # fmt: skip
    return {
        "apiVersion": CONTROLLER_REVISION.api_version,
        "kind": CONTROLLER_REVISION.kind,
        "metadata": {
            "name": f"{service.name}-{revision}",
            "namespace": service.namespace,
            "labels": {**labels(service, "engine"), keys.REVISION_LABEL: revision},
            "ownerReferences": [owner_reference(INFERENCE_SERVICE, service.name, service.uid)],
        },
        "revision": max(numbers, default=0) + 1,
        "data": {
            "rayService": specs[RAY_SERVICE, service.name],
            "gateway": specs[DEPLOYMENT, deployment_name(service.name, "gateway")],
        },
    }


def restored(service: ServiceView, children: Children, baseline: Baseline) -> Children:
    """The same objects, but with the cluster and the gateway of an older revision."""
    gateway = deployment_name(service.name, "gateway")
    specs = {
        (RAY_SERVICE, service.name): scaled(dict(baseline.ray_service), service),
        (DEPLOYMENT, gateway): baseline.gateway,
    }
    return [
        (kind, _with_spec(body, specs.get((kind, body["metadata"]["name"]))))
        for kind, body in children
    ]


def _with_spec(body: dict[str, Any], spec: Manifest | None) -> dict[str, Any]:
    if spec is None:
        return body
    metadata = {k: v for k, v in body["metadata"].items() if k != "annotations"}
    return with_hash({**body, "metadata": metadata, "spec": dict(spec)})


def outdated(observed: Observed, revision: str) -> frozenset[ChildKey]:
    """Records of older revisions, once a newer one serves and is recorded."""
    kept = {
        key: body for key, body in observed.stored.items() if key[0] == CONTROLLER_REVISION.kind
    }
    older = {
        key
        for key, body in kept.items()
        if body["metadata"]["labels"].get(keys.REVISION_LABEL) != revision
    }
    return frozenset(older) if len(older) < len(kept) else frozenset()
