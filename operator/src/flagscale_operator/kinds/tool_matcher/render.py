"""The matcher's objects. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from flagscale_api import keys
from flagscale_operator.kinds.fingerprint import fingerprint
from flagscale_operator.kinds.pod_parts import container_security, pod_security
from flagscale_operator.kinds.tool_matcher.wanted import MatcherWanted
from flagscale_operator.kube.kinds import (
    DEPLOYMENT,
    MATCHER_NAME,
    MATCHER_REPLICAS_NAME,
    POD_DISRUPTION_BUDGET,
    SERVICE,
    KubeKind,
)

Manifest = dict[str, Any]
Kept = tuple[KubeKind, str]
PORT: Final = 8080
LABELS: Final[Mapping[str, str]] = {
    keys.NAME_LABEL: "flagscale",
    keys.COMPONENT_LABEL: "matcher",
}
KEPT: Final[tuple[Kept, ...]] = (
    (DEPLOYMENT, MATCHER_NAME),
    (SERVICE, MATCHER_NAME),
    (SERVICE, MATCHER_REPLICAS_NAME),
    (POD_DISRUPTION_BUDGET, MATCHER_NAME),
)
"""Everything that is the matcher's."""


def render_matcher(
    wanted: MatcherWanted,
    *,
    namespace: str,
    watch_namespaces: Sequence[str] = (),
    owner: Manifest | None = None,
) -> dict[Kept, Manifest]:
    """All objects; `owner` is a reference to the operator's Deployment, which they go with."""
    # Where agents ask, and where the operator asks each replica what is in its index.
    specs: dict[Kept, Manifest] = {
        (DEPLOYMENT, MATCHER_NAME): _deployment(wanted, watch_namespaces),
        (SERVICE, MATCHER_NAME): _service(80),
        (SERVICE, MATCHER_REPLICAS_NAME): {"clusterIP": "None", **_service(PORT)},
    }
    if wanted.replicas > 1:
        specs[POD_DISRUPTION_BUDGET, MATCHER_NAME] = {
            "maxUnavailable": 1,
            "selector": {"matchLabels": dict(LABELS)},
        }
    return {kept: _object(*kept, namespace, spec, owner) for kept, spec in specs.items()}


def _object(
    kind: KubeKind, name: str, namespace: str, spec: Manifest, owner: Manifest | None
) -> Manifest:
    metadata: Manifest = {
        "name": name,
        "namespace": namespace,
        "labels": {**LABELS, keys.MANAGED_BY_LABEL: keys.MANAGED_BY},
        # What is left out of a later version differs by it alone.
        "annotations": {keys.SPEC_HASH_ANNOTATION: fingerprint(spec)},
    }
    if owner:
        metadata["ownerReferences"] = [owner]
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": spec}


def _service(port: int) -> Manifest:
    return {
        "selector": dict(LABELS),
        "ports": [{"name": "http", "port": port, "protocol": "TCP", "targetPort": "http"}],
    }


def _deployment(wanted: MatcherWanted, watch_namespaces: Sequence[str]) -> Manifest:
    return {
        "replicas": wanted.replicas,
        # A new pod has all tools in its index before an old one ends.
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
        },
        "selector": {"matchLabels": dict(LABELS)},
        "template": {
            "metadata": {"labels": {**LABELS, keys.MANAGED_BY_LABEL: keys.MANAGED_BY}},
            "spec": _pod(wanted, watch_namespaces),
        },
    }


def _pod(wanted: MatcherWanted, watch_namespaces: Sequence[str]) -> Manifest:
    pod: Manifest = {
        "serviceAccountName": MATCHER_NAME,
        "terminationGracePeriodSeconds": 30,
        "enableServiceLinks": False,
        "securityContext": pod_security(),
        "containers": [_container(wanted, watch_namespaces)],
        "volumes": [{"name": "tmp", "emptyDir": {}}, {"name": "vectors", "emptyDir": {}}],
    }
    if wanted.replicas > 1:
        pod["topologySpreadConstraints"] = [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": dict(LABELS)},
            }
        ]
    if wanted.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in wanted.image_pull_secrets]
    return pod


def _container(wanted: MatcherWanted, watch_namespaces: Sequence[str]) -> Manifest:
    return {
        "name": "matcher",
        "image": wanted.image,
        "imagePullPolicy": wanted.pull_policy,
        "command": ["python", "-m", "flagscale_workloads.agent.service"],
        "args": [
            "--host=0.0.0.0",
            f"--port={PORT}",
            "--vectors=/vectors/vectors.sqlite",
            *(f"--namespace={name}" for name in watch_namespaces),
        ],
        "env": _environment(wanted),
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        "startupProbe": {**_probe("/ready", 2), "failureThreshold": 150},
        "livenessProbe": _probe("/health", 10),
        "readinessProbe": _probe("/ready", 2),
        "resources": wanted.model_dump(mode="json")["resources"],
        "securityContext": container_security(),
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a volume of the pod
            # Outlives a restart of the container, so that nothing is embedded twice.
            {"name": "vectors", "mountPath": "/vectors"},
        ],
    }


def _environment(wanted: MatcherWanted) -> list[Manifest]:
    field = {"apiVersion": "v1", "fieldPath": "metadata.name"}
    name: Manifest = {"name": "POD_NAME", "valueFrom": {"fieldRef": field}}
    if not wanted.tracing_endpoint:
        return [name]
    return [
        name,
        {"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": wanted.tracing_endpoint},
        {"name": "OTEL_RESOURCE_ATTRIBUTES", "value": "k8s.pod.name=$(POD_NAME)"},
    ]


def _probe(path: str, period_s: int) -> Manifest:
    return {"httpGet": {"path": path, "port": "http"}, "periodSeconds": period_s}
