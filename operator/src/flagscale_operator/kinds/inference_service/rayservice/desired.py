"""Everything that a service on Ray should consist of now; pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from flagscale_operator.kinds.inference_service.desired import Desired
from flagscale_operator.kinds.inference_service.facts import DeploymentFact, Observed
from flagscale_operator.kinds.inference_service.pods import ServingContext
from flagscale_operator.kinds.inference_service.rayservice.facts import (
    Baseline,
    RayFact,
    find_baseline,
    observe_ray_service,
    pods_in,
    ray_clusters,
    ray_service_of,
)
from flagscale_operator.kinds.inference_service.rayservice.revisions import (
    outdated,
    record,
    restored,
)
from flagscale_operator.kinds.inference_service.rayservice.scaling import Scaling, scale_cluster
from flagscale_operator.kinds.inference_service.rayservice.settled import settled, took_over
from flagscale_operator.kinds.inference_service.rayservice.trouble import exit_of, ray_trouble
from flagscale_operator.kinds.inference_service.rayservice.upgrade import (
    Upgrade,
    called_off,
    follow,
    give_up,
    rolled_back,
    upgrading,
)
from flagscale_operator.kinds.inference_service.render import render_children, revision_of
from flagscale_operator.kinds.inference_service.source import ModelSource
from flagscale_operator.kinds.inference_service.view import ServiceView
from flagscale_operator.kinds.inference_service.why_not_ready import Trouble
from flagscale_operator.kube.kinds import CONTROLLER_REVISION, RAY_CLUSTER, RAY_SERVICE

Manifest = Mapping[str, Any]


def desired_on_ray(
    service: ServiceView,
    source: ModelSource,
    observed: Observed,
    context: ServingContext,
    *,
    gateway: DeploymentFact | None,
    now: datetime,
) -> Desired:
    """The wanted revision, or the one before it when the wanted one came to nothing."""
    wanted = revision_of(service, source, context)
    body, baseline = ray_service_of(observed, service.name), find_baseline(observed)
    fact = observe_ray_service(body) if body else None
    upgrade = _judged(service, observed, follow(service, wanted, baseline, now), fact, gateway)
    children = render_children(service, source, context)
    going_back = upgrade.rollout.rolled_back is not None and baseline is not None
    revision = wanted
    if going_back and baseline:
        children = list(restored(service, children, baseline))
        revision = baseline.revision
    scalings = _scalings(service, observed, fact, now)
    return Desired(
        children=tuple(children),
        revision=revision,
        engines_settled=settled(service, observed, fact, revision),
        trouble=_trouble(service, observed, upgrade, fact, baseline, revision, gateway),
        current_replicas=len(observed.pods_of("engine")),
        final=going_back,
        failure=exit_of(fact, observed),
        verdicts=(upgrading(upgrade.rollout, fact, service.spec.replicas),),
        rollout=upgrade.rollout,
        replace=tuple((RAY_CLUSTER, s.cluster) for s in scalings if s.cluster),
        report=_reports(observed, body, fact, revision) if going_back else (),
        look_again_s=min((s for s in _waits(upgrade, scalings) if s > 0), default=None),
        # What has no engines has not been seen to serve.
        record=(CONTROLLER_REVISION, dict(record(service, children, observed, revision)))
        if service.spec.replicas
        else None,
        outdated=outdated(observed, revision),
    )


def _judged(
    service: ServiceView,
    observed: Observed,
    upgrade: Upgrade,
    fact: RayFact | None,
    gateway: DeploymentFact | None,
) -> Upgrade:
    """The upgrade, given up when its time is over and it does not serve."""
    revision = upgrade.rollout.revision
    if upgrade.left_s is None or upgrade.left_s > 0:
        return upgrade
    if settled(service, observed, fact, revision) or took_over(service, observed, fact, revision):
        return upgrade
    why = ray_trouble(service, observed, fact=fact, revision=revision, gateway=gateway)
    return Upgrade(give_up(service, upgrade, why))


def _trouble(
    service: ServiceView,
    observed: Observed,
    upgrade: Upgrade,
    fact: RayFact | None,
    baseline: Baseline | None,
    revision: str,
    gateway: DeploymentFact | None,
) -> Trouble:
    if upgrade.rollout.rolled_back and baseline:
        return rolled_back(upgrade.rollout, baseline)
    return ray_trouble(service, observed, fact=fact, revision=revision, gateway=gateway)


def _scalings(
    service: ServiceView, observed: Observed, fact: RayFact | None, now: datetime
) -> list[Scaling]:
    if fact is None:
        return []
    clusters = ray_clusters(observed)
    grace_s = service.spec.pod_template.termination_grace_period_seconds
    return [
        scale_cluster(
            clusters[name],
            pods_in(observed, name),
            service.spec.replicas,
            drained_s=grace_s,
            now=now,
        )
        for name in (fact.active, fact.pending)
        if name in clusters
    ]


def _reports(
    observed: Observed, body: Manifest | None, fact: RayFact | None, revision: str
) -> tuple[tuple[Any, dict[str, Any]], ...]:
    status = called_off(body, fact, ray_clusters(observed), revision)
    return ((RAY_SERVICE, status),) if status else ()


def _waits(upgrade: Upgrade, scalings: list[Scaling]) -> list[float]:
    waits = [upgrade.left_s, *(s.wait_s for s in scalings)]
    return [wait for wait in waits if wait is not None]
