"""Desired against observed: what to write for one InferenceService now, and what to report.

Level-triggered and pure: the same input twice yields no write the second time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from flagscale_api import keys
from flagscale_api.v1alpha1.inference_service_status import InferenceServiceStatus
from flagscale_operator.kinds.fingerprint import still_says
from flagscale_operator.kinds.inference_service.desired import Desired, Writes
from flagscale_operator.kinds.inference_service.facts import (
    ChildKey,
    DeploymentFact,
    Observed,
    observe_deployment,
)
from flagscale_operator.kinds.inference_service.names import Component, deployment_name
from flagscale_operator.kinds.inference_service.pods import ServingContext
from flagscale_operator.kinds.inference_service.rayservice.desired import desired_on_ray
from flagscale_operator.kinds.inference_service.readiness import Rollout, availability
from flagscale_operator.kinds.inference_service.render import render_children, revision_of
from flagscale_operator.kinds.inference_service.scaling import NO_SCALING, Scaling, decide_scaling
from flagscale_operator.kinds.inference_service.source import ModelSource, NoSource, find_source
from flagscale_operator.kinds.inference_service.status import (
    blocked_status,
    serving_status,
    with_engine,
)
from flagscale_operator.kinds.inference_service.view import ServiceView
from flagscale_operator.kinds.inference_service.why_not_ready import why_not_ready
from flagscale_operator.kinds.ownership import is_controlled
from flagscale_operator.kube.kinds import CONTROLLER_REVISION, DEPLOYMENT, KubeKind

Manifest = Mapping[str, Any]
KEPT: Final = (CONTROLLER_REVISION.kind,)
"""Deleted only when something newer takes their place."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything to do now; children are written before the status."""

    status: InferenceServiceStatus
    apply: Writes = ()
    delete: tuple[ChildKey, ...] = ()
    replace: Writes = ()
    report: Writes = ()
    """Status of children."""
    scaling: Scaling = NO_SCALING
    look_again_s: float | None = None


def plan(
    service: ServiceView, observed: Observed, context: ServingContext, *, now: datetime
) -> Plan:
    """The writes that are left, and the status to report."""
    source = find_source(service.spec.model, observed.train_job, service.status.model)
    if isinstance(source, NoSource):
        status = blocked_status(
            with_engine(service),
            generation=service.generation,
            reason=source.reason,
            message=source.message,
            available=availability(observed, holds=False),
            now=now,
        )
        return Plan(status)
    gateway = _deployment(observed, service, "gateway")
    desired = _desired(service, source, observed, context, gateway, now)
    writes = _unwritten(observed, desired.children)
    applied = not writes
    gateway_settled = gateway is not None and gateway.settled
    rollout = Rollout(
        revision=desired.revision,
        complete=applied and desired.engines_settled and gateway_settled,
        gateway_settled=gateway_settled,
        desired=desired,
    )
    scaling = decide_scaling(service, observed.load, now)
    wanted = {(kind.kind, manifest["metadata"]["name"]) for kind, manifest in desired.children}
    recorded = (desired.record,) if desired.record and rollout.complete else ()
    unwanted = {key for key in _own(service, observed) if key not in wanted and key[0] not in KEPT}
    return Plan(
        status=serving_status(service, source, observed, rollout, now),
        apply=(*writes, *(r for r in recorded if _key(r) not in observed.stored)),
        delete=tuple(sorted(unwanted | (desired.outdated if rollout.complete else frozenset()))),
        replace=desired.replace if applied else (),
        report=desired.report if applied else (),
        scaling=scaling,
        look_again_s=min(filter(None, (desired.look_again_s, scaling.look_again_s)), default=None),
    )


def _desired(
    service: ServiceView,
    source: ModelSource,
    observed: Observed,
    context: ServingContext,
    gateway: DeploymentFact | None,
    now: datetime,
) -> Desired:
    if service.spec.effective_runtime == "rayservice":
        return desired_on_ray(service, source, observed, context, gateway=gateway, now=now)
    revision = revision_of(service, source, context)
    engines = _deployment(observed, service, "engine")
    return Desired(
        children=tuple(render_children(service, source, context)),
        revision=revision,
        engines_settled=engines is not None and engines.settled,
        trouble=why_not_ready(
            service, observed, revision=revision, engines=engines, gateway=gateway
        ),
        current_replicas=engines.replicas if engines else 0,
    )


def _unwritten(observed: Observed, children: Writes) -> Writes:
    return tuple(
        (kind, manifest)
        for kind, manifest in children
        if not _is_stored(observed, _key((kind, manifest)), manifest)
    )


def _key(child: tuple[KubeKind, Manifest]) -> ChildKey:
    return child[0].kind, child[1]["metadata"]["name"]


def _own(service: ServiceView, observed: Observed) -> set[ChildKey]:
    """Children of the service itself, not what KubeRay made of them and gave our labels."""
    return {key for key, body in observed.stored.items() if is_controlled(body, service.uid)}


def _deployment(
    observed: Observed, service: ServiceView, component: Component
) -> DeploymentFact | None:
    body = observed.stored.get((DEPLOYMENT.kind, deployment_name(service.name, component)))
    return observe_deployment(body) if body else None


def _is_stored(observed: Observed, key: ChildKey, wanted: Manifest) -> bool:
    """Whether the API server has this very object, and nobody has changed what is ours.

    An admission webhook may change what is applied, each time anew: its answer counts as stored.
    """
    stored = observed.stored.get(key)
    if stored is None:
        return False
    annotations = stored["metadata"].get("annotations") or {}
    hash_ = wanted["metadata"]["annotations"][keys.SPEC_HASH_ANNOTATION]
    if annotations.get(keys.SPEC_HASH_ANNOTATION) != hash_:
        return False
    return key in observed.accepted or still_says(
        {"labels": stored["metadata"].get("labels"), "spec": stored.get("spec")},
        {"labels": wanted["metadata"]["labels"], "spec": wanted["spec"]},
    )
