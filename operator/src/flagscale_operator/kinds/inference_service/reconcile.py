"""Desired against observed: what to write for one InferenceService now, and what to report.

Level-triggered and pure: the same input twice yields no write the second time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flagscale_api import keys
from flagscale_api.v1alpha1.inference_service_status import InferenceServiceStatus
from flagscale_operator.kinds.fingerprint import still_says
from flagscale_operator.kinds.inference_service.facts import (
    ChildKey,
    DeploymentFact,
    Observed,
    observe_deployment,
)
from flagscale_operator.kinds.inference_service.names import Component, deployment_name
from flagscale_operator.kinds.inference_service.pods import ServingContext
from flagscale_operator.kinds.inference_service.readiness import Rollout, availability
from flagscale_operator.kinds.inference_service.render import render_children, revision_of
from flagscale_operator.kinds.inference_service.scaling import NO_SCALING, Scaling, decide_scaling
from flagscale_operator.kinds.inference_service.source import NoSource, find_source
from flagscale_operator.kinds.inference_service.status import blocked_status, serving_status
from flagscale_operator.kinds.inference_service.view import ServiceView
from flagscale_operator.kube.kinds import DEPLOYMENT, KubeKind

Manifest = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything to do now; children are written before the status."""

    status: InferenceServiceStatus
    apply: tuple[tuple[KubeKind, dict[str, Any]], ...] = ()
    delete: tuple[ChildKey, ...] = ()
    scaling: Scaling = NO_SCALING


def plan(
    service: ServiceView, observed: Observed, context: ServingContext, *, now: datetime
) -> Plan:
    """The writes that are left, and the status to report."""
    source = find_source(service.spec.model, observed.train_job, service.status.model)
    if isinstance(source, NoSource):
        status = blocked_status(
            service.status,
            generation=service.generation,
            reason=source.reason,
            message=source.message,
            available=availability(observed, holds=False),
            now=now,
        )
        return Plan(status)
    children = render_children(service, source, context)
    writes = tuple(
        (kind, manifest)
        for kind, manifest in children
        if not _is_stored(observed, (kind.kind, manifest["metadata"]["name"]), manifest)
    )
    wanted = {(kind.kind, manifest["metadata"]["name"]) for kind, manifest in children}
    rollout = Rollout(
        revision=revision_of(service, source, context),
        applied=not writes,
        engines=_deployment(observed, service, "engine"),
        gateway=_deployment(observed, service, "gateway"),
    )
    return Plan(
        status=serving_status(service, source, observed, rollout, now),
        apply=writes,
        delete=tuple(sorted(set(observed.stored) - wanted)),
        scaling=decide_scaling(service, observed.load, now),
    )


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
