"""Whether a revision serves on its Ray cluster; pure."""

from flagscale_operator.kinds.inference_service.facts import Observed
from flagscale_operator.kinds.inference_service.rayservice.facts import RayFact, pods_in
from flagscale_operator.kinds.inference_service.view import ServiceView


def settled(service: ServiceView, observed: Observed, fact: RayFact | None, revision: str) -> bool:
    """Whether the active cluster alone serves this revision with every replica ready.

    KubeRay's and Ray's word is not enough: readiness of a worker pod is its engine's first token.
    """
    if fact is None or not fact.current or not fact.active or fact.pending:
        return False
    if fact.application != "RUNNING":
        return False
    others = [p for p in observed.pods_of("engine") if p.cluster != fact.active]
    return _ready(observed, fact, revision) == service.spec.replicas and not others


def took_over(
    service: ServiceView, observed: Observed, fact: RayFact | None, revision: str
) -> bool:
    """Whether this revision serves, and at most lacks replicas that the load has asked for since.

    An upgrade is not given up because its deadline comes while an autoscaler adds replicas.
    """
    scaled = service.spec.autoscaling
    if scaled is None or fact is None or not fact.active or fact.pending:
        return False
    least = max(1, min(scaled.min_replicas, service.spec.replicas))
    return _ready(observed, fact, revision) >= least


def _ready(observed: Observed, fact: RayFact, revision: str) -> int:
    pods = pods_in(observed, fact.active)
    return sum(p.ready and p.revision == revision for p in pods)
