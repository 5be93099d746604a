"""The files that serving pods read: what an engine pod starts, and what the gateway finds."""

from types import MappingProxyType
from typing import Final

from flagscale_api.runtime.serve import (
    AuthSpec,
    DiscoverySpec,
    EngineProcesses,
    GatewaySpec,
    QueueSpec,
    RoutingSpec,
    ServeConfig,
    ServedModel,
)
from flagscale_api.v1alpha1.engine import EngineSpec
from flagscale_operator.kinds.inference_service.load_report import report_spec
from flagscale_operator.kinds.inference_service.names import (
    POD_PORT,
    engines_name,
    starting_name,
)
from flagscale_operator.kinds.inference_service.source import ModelSource
from flagscale_operator.kinds.inference_service.view import ServiceView
from flagscale_operator.kinds.pod_parts import CONFIG_DIR

CONFIG_PATH: Final = f"{CONFIG_DIR}/serve.json"
KEYS_FILE: Final = "keys.json"
START_TIMEOUT_S: Final = 600
RESTARTS: Final = 1
"""Engine restarts within one pod in ten minutes; then the pod ends, and Kubernetes goes on."""
ENVIRONMENTS: Final = MappingProxyType(
    {name: f"/opt/engines/{name}/bin/python" for name in ("vllm", "sglang")}
)
"""Engines that an image has in an environment of their own."""
PRE_STOP_S: Final = 5
"""How long a pod that is to end serves on, until nobody sends to it any more."""
ENGINE_STOP_S: Final = 20
MARGIN_S: Final = 5


def drain_s(service: ServiceView) -> int:
    """Time for running requests within the pods' termination grace period."""
    grace = service.spec.pod_template.termination_grace_period_seconds
    return grace - PRE_STOP_S - ENGINE_STOP_S - MARGIN_S


def engine_config(service: ServiceView, source: ModelSource, revision: str) -> ServeConfig:
    """One engine behind a door of its own, which its gateway alone is to use."""
    return ServeConfig(
        model=_model(service, source, revision, source.digest),
        engine=_engine(service),
        routing=RoutingSpec(policy="roundRobin"),
        processes=EngineProcesses(
            count=1,
            restarts=RESTARTS,
            start_timeout_seconds=START_TIMEOUT_S,
            python=ENVIRONMENTS.get(service.engine),
        ),
        gateway=_door(service),
    )


def gateway_config(service: ServiceView, source: ModelSource, report_url: str) -> ServeConfig:
    """The door of the whole service: routing, queue and keys, over all ready engine pods.

    It names no revision and no setting of the engine: during a rollout it serves two, and neither
    a new model nor other engine arguments need restart it.
    """
    spec = service.spec
    report = report_spec(report_url, service.namespace, service.name) if spec.autoscaling else None
    return ServeConfig(
        model=_model(service, source, revision=""),
        engine=EngineSpec(name=service.engine, device="cpu"),
        discovery=DiscoverySpec(
            host=f"{engines_name(service.name)}.{service.namespace}.svc",
            port=POD_PORT,
            early_host=f"{starting_name(service.name)}.{service.namespace}.svc",
        ),
        routing=spec.routing,
        gateway=_door(service),
        auth=AuthSpec(keys_file=f"{CONFIG_DIR}/{KEYS_FILE}") if spec.auth else None,
        load_report=report,
    )


def _engine(service: ServiceView) -> EngineSpec:
    """The settings, with the engine that auto stands for."""
    return EngineSpec.model_validate({**service.spec.engine.model_dump(), "name": service.engine})


def _model(
    service: ServiceView, source: ModelSource, revision: str, digest: str | None = None
) -> ServedModel:
    path = source.path(service.spec.model.file)
    return ServedModel(name=service.served_name, path=path, revision=revision, digest=digest)


def _door(service: ServiceView) -> GatewaySpec:
    limits, scaled = service.spec.limits, service.spec.autoscaling
    queue = QueueSpec(
        size=limits.queue_size,
        timeout_seconds=limits.queue_timeout_seconds,
        hold_seconds=scaled.hold_seconds if scaled else None,
    )
    return GatewaySpec(
        host="0.0.0.0",  # noqa: S104 - within a pod, reached by its Service
        port=POD_PORT,
        max_body_bytes=limits.max_body_bytes,
        per_replica_concurrency=limits.per_replica_concurrency,
        request_timeout_seconds=limits.request_timeout_seconds,
        drain_timeout_seconds=drain_s(service),
        queue=queue,
    )
