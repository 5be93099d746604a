"""Whether a service is ready, and whether requests are answered; pure."""

from dataclasses import dataclass

from flagscale_operator.kinds.conditions import Verdict, find_condition
from flagscale_operator.kinds.inference_service.desired import Desired
from flagscale_operator.kinds.inference_service.facts import Observed
from flagscale_operator.kinds.inference_service.names import url
from flagscale_operator.kinds.inference_service.view import ServiceView
from flagscale_operator.kinds.inference_service.why_not_ready import Trouble

SCALED_TO_ZERO = "ScaledToZero"


@dataclass(frozen=True, slots=True)
class Rollout:
    """The revision that is to serve; `complete`: everything of it is applied, settled and ready."""

    revision: str
    complete: bool
    gateway_settled: bool
    """Whether the gateway is as wanted."""
    desired: Desired


def ready_count(observed: Observed, revision: str) -> int:
    """Engine pods of a revision that have generated a token."""
    return sum(p.ready and p.revision == revision for p in observed.pods_of("engine"))


def holds_requests(service: ServiceView) -> bool:
    """Whether a request that finds no engine is held until one has started."""
    scaled = service.spec.autoscaling
    return service.spec.replicas == 0 and scaled is not None and scaled.min_replicas == 0


def only_scaling(
    service: ServiceView, observed: Observed, rollout: Rollout, trouble: Trouble
) -> bool:
    """Whether nothing is amiss but that other replicas are wanted than a moment ago.

    A service under load would otherwise be unready again and again.
    """
    scaled, wanted = service.spec.autoscaling, service.spec.replicas
    if trouble.fault or not rollout.gateway_settled:
        return False
    if scaled is None or wanted == 0:
        return wanted == 0
    older = any(p.revision != rollout.revision for p in observed.pods_of("engine"))
    least = max(1, min(scaled.min_replicas, wanted))
    return not older and ready_count(observed, rollout.revision) >= least


def readiness(
    service: ServiceView, observed: Observed, rollout: Rollout, trouble: Trouble | None
) -> Verdict:
    """The Ready condition; `trouble` is what speaks against it."""
    if trouble:
        return Verdict("Ready", "False", trouble.reason, trouble.message)
    wanted = service.spec.replicas
    if wanted == 0:
        return _at_zero(service, rollout.revision)
    where = url(service.namespace, service.name)
    if not rollout.complete:
        ready = ready_count(observed, rollout.revision)
        message = f"{service.served_name} is served at {where} by {ready} engine pods; {wanted} "
        return Verdict("Ready", "True", "Scaling", f"{message}are wanted now")
    return Verdict("Ready", "True", "Serving", f"{service.served_name} is served at {where}")


def _at_zero(service: ServiceView, revision: str) -> Verdict:
    if not holds_requests(service):
        message = "spec.replicas is 0, so requests are refused; raise it"
        return Verdict("Ready", "False", SCALED_TO_ZERO, message)
    before = find_condition(service.status.conditions, "Ready")
    proven = before is not None and before.status == "True" and service.status.revision == revision
    if proven:
        message = "no engine pod runs, as nobody asks; the next request starts one and waits for it"
        return Verdict("Ready", "True", SCALED_TO_ZERO, message)
    message = f"no engine pod runs, and revision {revision} has not served yet; the next request "
    return Verdict("Ready", "Unknown", SCALED_TO_ZERO, f"{message}starts one and waits for it")


def availability(observed: Observed, *, holds: bool) -> Verdict:
    """Whether requests are answered, by whichever revision; `holds`: or wait for an engine."""
    if not any(pod.ready for pod in observed.pods_of("gateway")):
        return Verdict("Available", "False", "NoGatewayReady", "the gateway is not ready")
    if any(pod.ready for pod in observed.pods_of("engine")):
        return Verdict("Available", "True", "Serving", "requests are answered")
    if holds:
        message = "requests wait until an engine pod has started"
        return Verdict("Available", "True", SCALED_TO_ZERO, message)
    return Verdict("Available", "False", "NoEngineReady", "no engine pod is ready")
