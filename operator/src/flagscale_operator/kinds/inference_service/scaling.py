"""When the number of engine pods changes, and why it has changed; pure.

From one pod on a HorizontalPodAutoscaler changes `spec.replicas` through the scale subresource. It
leaves a service alone that has none, and takes none below one: these two steps are decided here.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from flagscale_api.v1alpha1.autoscaling import AutoscalingSpec
from flagscale_api.v1alpha1.inference_service_status import LastScaling, ScalingReason
from flagscale_operator.kinds.clock import format_time, parse_time
from flagscale_operator.kinds.conditions import find_condition
from flagscale_operator.kinds.inference_service.load import LoadFact
from flagscale_operator.kinds.inference_service.view import ServiceView


@dataclass(frozen=True, slots=True)
class Scaling:
    """What the scale should be now, and when to look again although nothing has changed."""

    replicas: int | None = None
    look_again_s: float | None = None


NO_SCALING: Final = Scaling()


def decide_scaling(service: ServiceView, load: LoadFact | None, now: datetime) -> Scaling:
    """Whether the service goes from none or to none; unknown load changes nothing."""
    wanted, limits = service.spec.replicas, service.spec.autoscaling
    if limits is None:
        return NO_SCALING
    if wanted == 0:
        if limits.min_replicas:
            return Scaling(limits.min_replicas)
        return Scaling(1 if load and load.waiting else None)
    if wanted > 1 or limits.min_replicas or load is None:
        return NO_SCALING
    ready_s = _ready_for_s(service, now)
    if ready_s is None or load.idle_s == 0:
        return NO_SCALING
    # An engine that has just started gets the whole delay, too: it was wanted.
    left_s = limits.scale_down_delay_seconds - min(ready_s, load.idle_s)
    return Scaling(0) if left_s <= 0 else Scaling(look_again_s=left_s)


def _ready_for_s(service: ServiceView, now: datetime) -> float | None:
    condition = find_condition(service.status.conditions, "Ready")
    if condition is None or condition.status != "True":
        return None
    since = parse_time(condition.last_transition_time)
    return (now - since).total_seconds() if since else None


def last_scaling(service: ServiceView, load: LoadFact | None, now: datetime) -> LastScaling | None:
    """The newest change: that of the status, unless other replicas are wanted than it says."""
    before, wanted = service.status.replicas, service.spec.replicas
    if before is None or before.total == wanted:
        return service.status.last_scaling
    reason, message = _why(before.total, wanted, service.spec.autoscaling, load)
    return LastScaling(
        from_replicas=before.total,
        to_replicas=wanted,
        reason=reason,
        message=message,
        time=format_time(now),
    )


def _why(
    before: int, wanted: int, limits: AutoscalingSpec | None, load: LoadFact | None
) -> tuple[ScalingReason, str]:
    if limits is None:
        return "Requested", f"spec.replicas is {wanted}"
    if wanted == 0:
        return "Idle", f"nobody asked for {limits.scale_down_delay_seconds} s"
    if before < limits.min_replicas:
        return "BelowMinimum", f"spec.autoscaling.minReplicas is {limits.min_replicas}"
    if before == 0:
        waiting = f"{load.waiting} requests waited" if load else "a request waited"
        return "RequestsWaiting", f"{waiting} while no engine pod was there"
    told = f"{load.requests:.1f} requests run or wait" if load else "the load is not known now"
    told += f"; {limits.target_concurrency} per engine pod are aimed at"
    return ("LoadAboveTarget" if wanted > before else "LoadBelowTarget"), told
