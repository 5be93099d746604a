"""Pods of an InferenceService: the same image and program, told apart by the file they read.

The file travels as an annotation of the pod and is mounted by the downward API, as with training
pods: a changed file is a changed template, so it rolls the pods, and a pod that restarts during a
rollout can't read the file of another revision.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from flagscale_api import keys
from flagscale_api.runtime.serve import ServeConfig
from flagscale_operator.kinds.inference_service.names import POD_PORT
from flagscale_operator.kinds.inference_service.serve_config import (
    CONFIG_PATH,
    KEYS_FILE,
    PRE_STOP_S,
    RESTARTS,
    START_TIMEOUT_S,
)
from flagscale_operator.kinds.inference_service.source import ModelSource
from flagscale_operator.kinds.inference_service.view import ServiceView
from flagscale_operator.kinds.pod_parts import (
    CONFIG_DIR,
    TERMINATION_LOG,
    container_security,
    pod_security,
)

Manifest = dict[str, Any]
CONTAINER: Final = "serve"
PROBE_PERIOD_S: Final = 5
STARTUP_S: Final = (RESTARTS + 1) * START_TIMEOUT_S + 60
"""Longer than the program's own patience, so that it is the program that tells what went wrong."""
ENGINE_READY: Final = "/health"
"""200 once the engine has generated a token."""
GATEWAY_READY: Final = "/ready"
"""200 while the door is open: it holds requests while no engine is ready."""
GATEWAY_REQUESTS: Final = {"cpu": "100m", "memory": "128Mi"}


@dataclass(frozen=True, slots=True)
class ServingContext:
    """Facts of the installation that rendering needs."""

    image: str
    engine_images: Mapping[str, str] = field(default_factory=dict)
    """Of engines that the stock image is without."""
    image_pull_policy: str = "IfNotPresent"
    progress_url: str = ""
    """Base URL of the operator's own server, which gateways tell their load to."""
    progress_ca: str = ""

    def image_of(self, engine: str) -> str:
        """The image that has an engine."""
        return self.engine_images.get(engine, self.image)


def config_annotation(config: ServeConfig) -> dict[str, str]:
    """The file as an annotation."""
    text = config.model_dump_json(by_alias=True, exclude_none=True)
    return {keys.SERVE_CONFIG_ANNOTATION: text}


def pod_spec(
    service: ServiceView,
    container: Manifest,
    *,
    volumes: Sequence[Manifest] = (),
    files: Sequence[Manifest] = (),
) -> Manifest:
    """What engine pods and gateways have in common; `files` join the configuration's folder."""
    template = service.spec.pod_template
    field = f"metadata.annotations['{keys.SERVE_CONFIG_ANNOTATION}']"
    config = {"items": [{"path": "serve.json", "fieldRef": {"fieldPath": field}}]}
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "containers": [container],
        "securityContext": pod_security(),
        "terminationGracePeriodSeconds": template.termination_grace_period_seconds,
        "volumes": [
            *volumes,
            {"name": "config", "projected": {"sources": [{"downwardAPI": config}, *files]}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }


def container(
    service: ServiceView,
    context: ServingContext,
    *,
    resources: Manifest,
    ready_path: str,
    mounts: Sequence[Manifest] = (),
) -> Manifest:
    """The serving program; nothing probes its liveness."""
    return {
        "name": CONTAINER,
        "image": service.spec.image or context.image_of(service.engine),
        "imagePullPolicy": context.image_pull_policy,
        "command": ["python3", "-m", "flagscale_workloads.serve", CONFIG_PATH],
        "env": [
            {"name": "HF_HUB_OFFLINE", "value": "1"},
            {"name": "HOME", "value": "/tmp"},  # noqa: S108 - the only writable folder
        ],
        "ports": [{"name": "http", "containerPort": POD_PORT}],
        "readinessProbe": _probe(ready_path, failures=2, period_s=PROBE_PERIOD_S),
        "lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP_S}}},
        "resources": resources,
        "securityContext": container_security(),
        "terminationMessagePath": TERMINATION_LOG,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            *mounts,
            {"name": "config", "mountPath": CONFIG_DIR, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
        ],
    }


def startup_probe(ready_path: str) -> Manifest:
    """Each second, as requests may be waiting for this very pod."""
    return _probe(ready_path, failures=STARTUP_S, period_s=1)


def _probe(path: str, *, failures: int, period_s: int) -> Manifest:
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period_s,
        "timeoutSeconds": 3,
        "failureThreshold": failures,
    }


def model_volume(source: ModelSource) -> tuple[Manifest, Manifest]:
    """The volume with the model and the engine's mount of it, which is read-only."""
    mount = {"name": "model", "mountPath": source.mount, "readOnly": True}
    if source.claim is None:
        return {"name": "model", "emptyDir": {}}, mount
    claim: Manifest = {"claimName": source.claim}
    if source.download is None:
        claim["readOnly"] = True
    return {"name": "model", "persistentVolumeClaim": claim}, mount


def keys_source(service: ServiceView) -> list[Manifest]:
    """The Secret with the API keys as a projected file, if there is one.

    Optional, so that a missing Secret or key is told by the gateway, which does not start without
    keys; Kubernetes itself would only let the pod wait and say nothing in its status.
    """
    if not service.spec.auth:
        return []
    reference = service.spec.auth.api_keys_secret_ref
    items = [{"key": reference.key, "path": KEYS_FILE}]
    return [{"secret": {"name": reference.name, "optional": True, "items": items}}]
