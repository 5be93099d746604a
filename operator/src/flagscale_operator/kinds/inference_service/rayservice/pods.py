"""Pod templates of the Ray cluster: a head that computes nothing, and one engine per worker."""

from typing import Any, Final

from flagscale_api import keys
from flagscale_operator.kinds.inference_service.download import with_download
from flagscale_operator.kinds.inference_service.names import POD_PORT, labels, selector
from flagscale_operator.kinds.inference_service.pods import (
    ENGINE_READY,
    ServingContext,
    config_annotation,
    container,
    model_volume,
    pod_spec,
)
from flagscale_operator.kinds.inference_service.rayservice.engine_config import worker_config
from flagscale_operator.kinds.inference_service.serve_config import PRE_STOP_S
from flagscale_operator.kinds.inference_service.source import ModelSource
from flagscale_operator.kinds.inference_service.view import ServiceView
from flagscale_operator.kinds.pod_parts import compute_resources, placement, tolerations

Manifest = dict[str, Any]
HEAD_REQUESTS: Final = {"cpu": "200m", "memory": "1Gi"}
HEAD_PORTS: Final = (("gcs", 6379), ("dashboard", 8265), ("client", 10001), ("serve", POD_PORT))
HEAD_GRACE_S: Final = 10
"""No request runs there, and Ray's head does not end by itself when it is asked to."""
AGENT_PORT: Final = 52365
DASHBOARD_PORT: Final = 8265
HEAD_PERIOD_S: Final = 2
READY_PERIOD_S: Final = 1
GCS_PATIENCE_S: Final = 60


def head_template(service: ServiceView, context: ServingContext) -> Manifest:
    """The head: scheduling, state and Ray's dashboard, which KubeRay talks to; no engine."""
    head = _ray_container(service, context, resources={"requests": HEAD_REQUESTS})
    head["ports"] = [{"name": name, "containerPort": port} for name, port in HEAD_PORTS]
    head["readinessProbe"] = _probe("/api/gcs_healthz", DASHBOARD_PORT, HEAD_PERIOD_S, failures=10)
    head["livenessProbe"] = _probe("/api/gcs_healthz", DASHBOARD_PORT, 5, failures=120)
    head["volumeMounts"] = [m for m in head["volumeMounts"] if m["name"] == "tmp"]
    del head["lifecycle"]
    spec = pod_spec(service, head)
    spec["terminationGracePeriodSeconds"] = HEAD_GRACE_S
    spec["volumes"] = [v for v in spec["volumes"] if v["name"] == "tmp"]
    overrides = service.spec.pod_template
    return {
        "metadata": {
            "labels": {**overrides.labels, **labels(service, "head")},
            "annotations": dict(overrides.annotations),
        },
        "spec": {**spec, **placement(overrides), "tolerations": tolerations(overrides)},
    }


def worker_template(
    service: ServiceView, source: ModelSource, context: ServingContext, revision: str
) -> Manifest:
    """A worker: the pod is ready when its engine is, and drains before Ray is stopped."""
    volume, mount = model_volume(source)
    worker = _ray_container(
        service, context, resources=compute_resources(service.spec.resources), mounts=[mount]
    )
    worker["readinessProbe"] = _probe("/health", "http", READY_PERIOD_S, failures=6)
    worker["livenessProbe"] = _probe("/api/local_raylet_healthz", AGENT_PORT, 5, failures=120)
    stop = ["python3", "-m", "flagscale_workloads.ray_serve.stop", str(PRE_STOP_S)]
    worker["lifecycle"] = {"preStop": {"exec": {"command": stop}}}
    spec = with_download(
        pod_spec(service, worker, volumes=[volume]),
        source.download,
        image=context.image,
        image_pull_policy=context.image_pull_policy,
        model_mount=mount,
    )
    spec["topologySpreadConstraints"] = [_spread(service)]
    overrides = service.spec.pod_template
    placed = placement(overrides)
    if overrides.node_selector:
        placed["nodeSelector"] = dict(overrides.node_selector)
    annotations = config_annotation(worker_config(service, source, revision))
    if source.digest:
        annotations[keys.MODEL_DIGEST_ANNOTATION] = source.digest
    own = {**labels(service, "engine"), keys.REVISION_LABEL: revision}
    return {
        "metadata": {
            "labels": {**overrides.labels, **own},
            "annotations": {**overrides.annotations, **annotations},
        },
        "spec": {**spec, **placed, "tolerations": tolerations(overrides)},
    }


def _ray_container(
    service: ServiceView,
    context: ServingContext,
    *,
    resources: Manifest,
    mounts: list[Manifest] | None = None,
) -> Manifest:
    """The container as of runtime pods, but for its command, which KubeRay writes."""
    ray = container(
        service, context, resources=resources, ready_path=ENGINE_READY, mounts=mounts or []
    )
    del ray["command"]
    grace = service.spec.pod_template.termination_grace_period_seconds
    ray["env"] = [
        *ray["env"],
        # Ray asks for a user's name, which an arbitrary uid has none of.
        {"name": "USER", "value": "flagscale"},
        {"name": "RAY_USAGE_STATS_ENABLED", "value": "0"},
        # An actor that asks Ray for no GPU still sees those of its pod: the engine takes them.
        {"name": "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "value": "0"},
        # When the cluster ends, the head goes at once; workers stay until they have drained.
        {
            "name": "RAY_gcs_rpc_server_reconnect_timeout_s",
            "value": str(GCS_PATIENCE_S + grace),
        },
    ]
    return ray


def _probe(path: str, port: int | str, period_s: int, *, failures: int) -> Manifest:
    return {
        "httpGet": {"path": path, "port": port},
        "periodSeconds": period_s,
        "timeoutSeconds": 3,
        "failureThreshold": failures,
    }


def _spread(service: ServiceView) -> Manifest:
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": selector(service, "engine")},
    }
