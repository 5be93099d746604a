"""The RayService of an InferenceService; pure, and the same for the same input."""

from typing import Any, Final

from flagscale_operator.kinds.fingerprint import fingerprint
from flagscale_operator.kinds.inference_service.pods import ServingContext
from flagscale_operator.kinds.inference_service.rayservice.pods import (
    head_template,
    worker_template,
)
from flagscale_operator.kinds.inference_service.rayservice.serve_applications import (
    serve_applications,
)
from flagscale_operator.kinds.inference_service.source import ModelSource
from flagscale_operator.kinds.inference_service.view import ServiceView

Manifest = dict[str, Any]
GROUP_NAME: Final = "engine"
RAY_VERSION: Final = "2.60.0"
"""As in the serving image (a test compares it with the lock file)."""
OLD_CLUSTER_S: Final = 15
"""How long the old cluster stays after a switch: until the gateway has seen the new pods."""
OBJECT_STORE_BYTES: Final = "100000000"
"""Nothing travels through Ray's object store; this is about its minimum."""


def ray_revision(service: ServiceView, source: ModelSource, context: ServingContext) -> str:
    """A short hash of the Ray cluster, replicas left out; it names itself nowhere in it."""
    return fingerprint(_cluster(service, source, context, revision=""))[:10]


def ray_service_spec(
    service: ServiceView, source: ModelSource, context: ServingContext, revision: str
) -> Manifest:
    """`spec` of the RayService."""
    spec = {
        "rayClusterDeletionDelaySeconds": OLD_CLUSTER_S,
        "upgradeStrategy": {"type": "NewCluster"},
        "rayClusterConfig": _cluster(service, source, context, revision),
    }
    return scaled(spec, service)


def scaled(spec: Manifest, service: ServiceView) -> Manifest:
    """The same cluster with as many replicas as the service wants now."""
    cluster = spec["rayClusterConfig"]
    (group,) = cluster["workerGroupSpecs"]
    wanted = dict.fromkeys(("replicas", "minReplicas", "maxReplicas"), service.spec.replicas)
    return {
        **spec,
        "serveConfigV2": serve_applications(service),
        "rayClusterConfig": {**cluster, "workerGroupSpecs": [{**group, **wanted}]},
    }


def _cluster(
    service: ServiceView, source: ModelSource, context: ServingContext, revision: str
) -> Manifest:
    store = {"object-store-memory": OBJECT_STORE_BYTES}
    return {
        "rayVersion": RAY_VERSION,
        # Ray's own API runs code: whoever asks it needs the token that KubeRay makes.
        "authOptions": {"mode": "token"},
        "headGroupSpec": {
            # Serve places no engine on the head, as it has no CPU to give away.
            "rayStartParams": {"num-cpus": "0", "dashboard-host": "0.0.0.0", **store},  # noqa: S104
            "template": head_template(service, context),
        },
        "workerGroupSpecs": [
            {
                "groupName": GROUP_NAME,
                # One replica asks for one CPU in Ray's books: one engine per worker pod.
                "rayStartParams": {"num-cpus": "1", **store},
                "template": worker_template(service, source, context, revision),
            }
        ],
    }
