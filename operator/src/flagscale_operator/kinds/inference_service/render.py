"""Everything that an InferenceService becomes; pure, and the same for the same input."""

from typing import Any

from flagscale_api import keys
from flagscale_operator.kinds.fingerprint import fingerprint
from flagscale_operator.kinds.inference_service.autoscaler import autoscaler_spec
from flagscale_operator.kinds.inference_service.download import with_download
from flagscale_operator.kinds.inference_service.load_report import report_files
from flagscale_operator.kinds.inference_service.names import (
    POD_PORT,
    SERVICE_PORT,
    Component,
    deployment_name,
    engines_name,
    labels,
    selector,
    starting_name,
)
from flagscale_operator.kinds.inference_service.pods import (
    ENGINE_READY,
    GATEWAY_READY,
    GATEWAY_REQUESTS,
    STARTUP_S,
    ServingContext,
    config_annotation,
    container,
    keys_source,
    model_volume,
    pod_spec,
    startup_probe,
)
from flagscale_operator.kinds.inference_service.rayservice.render import (
    ray_revision,
    ray_service_spec,
)
from flagscale_operator.kinds.inference_service.serve_config import (
    engine_config,
    gateway_config,
)
from flagscale_operator.kinds.inference_service.source import ModelSource
from flagscale_operator.kinds.inference_service.view import ServiceView
from flagscale_operator.kinds.ownership import owner_reference
from flagscale_operator.kinds.pod_parts import compute_resources, placement, tolerations
from flagscale_operator.kube.kinds import (
    DEPLOYMENT,
    HORIZONTAL_POD_AUTOSCALER,
    INFERENCE_SERVICE,
    POD_DISRUPTION_BUDGET,
    RAY_SERVICE,
    SERVICE,
    KubeKind,
)

Manifest = dict[str, Any]
ENGINE_ONLY = ("affinity", "schedulerName")
"""Placement that is about the engines' hardware, so the gateway goes without."""


def render_children(
    service: ServiceView, source: ModelSource, context: ServingContext
) -> list[tuple[KubeKind, Manifest]]:
    """All objects, in the order in which they are applied."""
    revision = revision_of(service, source, context)
    children = [
        (SERVICE, _engines_service(service, engines_name(service.name), unready=False)),
        (SERVICE, _engines_service(service, starting_name(service.name), unready=True)),
        _engines(service, source, context, revision),
        (DEPLOYMENT, _gateway_deployment(service, source, context)),
        (SERVICE, _front_service(service)),
    ]
    scaled = service.spec.autoscaling
    if scaled or service.spec.replicas > 1:
        children.append((POD_DISRUPTION_BUDGET, _budget(service)))
    if scaled:
        spec = autoscaler_spec(service, scaled)
        autoscaler = child(HORIZONTAL_POD_AUTOSCALER, service.name, service, "engine", spec)
        children.append((HORIZONTAL_POD_AUTOSCALER, autoscaler))
    return [(kind, with_hash(manifest)) for kind, manifest in children]


def revision_of(service: ServiceView, source: ModelSource, context: ServingContext) -> str:
    """A short hash of what engine pods run; it names itself nowhere in what is hashed."""
    if service.spec.effective_runtime == "rayservice":
        return ray_revision(service, source, context)
    return fingerprint(_engine_template(service, source, context, revision=""))[:10]


def _engines(
    service: ServiceView, source: ModelSource, context: ServingContext, revision: str
) -> tuple[KubeKind, Manifest]:
    """What keeps the engine pods."""
    if service.spec.effective_runtime == "rayservice":
        spec = ray_service_spec(service, source, context, revision)
        return RAY_SERVICE, child(RAY_SERVICE, service.name, service, "engine", spec)
    return DEPLOYMENT, _engine_deployment(service, source, context, revision)


def child(
    kind: KubeKind, name: str, service: ServiceView, component: Component, spec: Manifest
) -> Manifest:
    """An object that belongs to the service."""
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {
            "name": name,
            "namespace": service.namespace,
            "labels": labels(service, component),
            "ownerReferences": [owner_reference(INFERENCE_SERVICE, service.name, service.uid)],
        },
        "spec": spec,
    }


def with_hash(manifest: Manifest) -> Manifest:
    """The manifest with a hash of itself, by which a stored one is known."""
    annotations = {keys.SPEC_HASH_ANNOTATION: fingerprint(manifest)}
    return {**manifest, "metadata": {**manifest["metadata"], "annotations": annotations}}


def _engine_deployment(
    service: ServiceView, source: ModelSource, context: ServingContext, revision: str
) -> Manifest:
    template = _engine_template(service, source, context, revision)
    return _deployment(service, "engine", service.spec.replicas, template)


def _gateway_deployment(
    service: ServiceView, source: ModelSource, context: ServingContext
) -> Manifest:
    annotations = config_annotation(gateway_config(service, source, context.progress_url))
    files = keys_source(service)
    if service.spec.autoscaling:
        annotations[keys.PROGRESS_CA_ANNOTATION] = context.progress_ca
        files += report_files(service.namespace, service.name)
    served = container(
        service, context, resources={"requests": GATEWAY_REQUESTS}, ready_path=GATEWAY_READY
    )
    served["startupProbe"] = startup_probe(GATEWAY_READY)
    template = _template(service, "gateway", annotations, pod_spec(service, served, files=files))
    return _deployment(service, "gateway", 1, template)


def _deployment(
    service: ServiceView, component: Component, replicas: int, template: Manifest
) -> Manifest:
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": selector(service, component)},
        # A new pod answers before an old one ends.
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
        },
        "revisionHistoryLimit": 2,
        "progressDeadlineSeconds": STARTUP_S + 120,
        "template": template,
    }
    name = deployment_name(service.name, component)
    return child(DEPLOYMENT, name, service, component, spec)


def _engine_template(
    service: ServiceView, source: ModelSource, context: ServingContext, revision: str
) -> Manifest:
    volume, mount = model_volume(source)
    served = container(
        service,
        context,
        resources=compute_resources(service.spec.resources),
        ready_path=ENGINE_READY,
        mounts=[mount],
    )
    served["startupProbe"] = startup_probe(ENGINE_READY)
    spec = with_download(
        pod_spec(service, served, volumes=[volume]),
        source.download,
        image=context.image,
        image_pull_policy=context.image_pull_policy,
        model_mount=mount,
    )
    spec["topologySpreadConstraints"] = [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": selector(service, "engine")},
        }
    ]
    annotations = config_annotation(engine_config(service, source, revision))
    if source.digest:
        annotations[keys.MODEL_DIGEST_ANNOTATION] = source.digest
    template = _template(service, "engine", annotations, spec)
    template["metadata"]["labels"][keys.REVISION_LABEL] = revision
    return template


def _template(
    service: ServiceView, component: Component, annotations: dict[str, str], spec: Manifest
) -> Manifest:
    overrides = service.spec.pod_template
    placed = placement(overrides)
    if component == "engine":
        if overrides.node_selector:
            placed["nodeSelector"] = dict(overrides.node_selector)
    else:
        placed = {key: value for key, value in placed.items() if key not in ENGINE_ONLY}
    return {
        "metadata": {
            "labels": {**overrides.labels, **labels(service, component)},
            "annotations": {**overrides.annotations, **annotations},
        },
        "spec": {**spec, **placed, "tolerations": tolerations(overrides)},
    }


def _engines_service(service: ServiceView, name: str, *, unready: bool) -> Manifest:
    """Without an address of its own: its name resolves to every ready engine pod, or to each."""
    spec = {
        "clusterIP": "None",
        "publishNotReadyAddresses": unready,
        "selector": selector(service, "engine"),
        "ports": [{"name": "http", "port": POD_PORT, "targetPort": "http"}],
    }
    return child(SERVICE, name, service, "engine", spec)


def _front_service(service: ServiceView) -> Manifest:
    spec = {
        "type": "ClusterIP",
        "selector": selector(service, "gateway"),
        "ports": [{"name": "http", "port": SERVICE_PORT, "targetPort": "http"}],
    }
    return child(SERVICE, service.name, service, "gateway", spec)


def _budget(service: ServiceView) -> Manifest:
    on_ray = service.spec.effective_runtime == "rayservice"
    # Kubernetes knows no scale of a Ray cluster, which maxUnavailable would need.
    least = max(0, service.spec.replicas - 1)
    allowed = {"minAvailable": least} if on_ray else {"maxUnavailable": 1}
    spec = {
        **allowed,
        "selector": {"matchLabels": selector(service, "engine")},
    }
    name = deployment_name(service.name, "engine")
    return child(POD_DISRUPTION_BUDGET, name, service, "engine", spec)
