"""What the user reads: phase, conditions, model, replicas. Pure, equal when nothing changed."""

from dataclasses import dataclass
from datetime import datetime

from flagscale_api.v1alpha1.inference_service_status import (
    InferenceServiceStatus,
    ReplicaCounts,
    ServicePhase,
)
from flagscale_operator.kinds.conditions import Verdict, find_condition, update_conditions
from flagscale_operator.kinds.inference_service.facts import DeploymentFact, Observed
from flagscale_operator.kinds.inference_service.model_status import model_status
from flagscale_operator.kinds.inference_service.names import url
from flagscale_operator.kinds.inference_service.source import ModelSource
from flagscale_operator.kinds.inference_service.view import ServiceView
from flagscale_operator.kinds.inference_service.why_not_ready import Trouble, why_not_ready


@dataclass(frozen=True, slots=True)
class Rollout:
    """The wanted revision and how far it is; `applied`: the API server has all of it already."""

    revision: str
    applied: bool
    engines: DeploymentFact | None
    gateway: DeploymentFact | None

    @property
    def complete(self) -> bool:
        """Whether all pods are of it, and ready."""
        both = (self.engines, self.gateway)
        return self.applied and all(d is not None and d.settled for d in both)


def serving_status(
    service: ServiceView, source: ModelSource, observed: Observed, rollout: Rollout, now: datetime
) -> InferenceServiceStatus:
    """The status of a service that has a model."""
    trouble = None
    if not rollout.complete:
        trouble = why_not_ready(
            service,
            observed,
            revision=rollout.revision,
            engines=rollout.engines,
            gateway=rollout.gateway,
        )
    available = availability(observed)
    verdicts = [_ready(service, trouble), available]
    phase = _phase(trouble, observed, rollout.revision, available=available.status == "True")
    return service.status.model_copy(
        update={
            "observed_generation": service.generation,
            "phase": phase,
            "conditions": update_conditions(
                service.status.conditions, verdicts, generation=service.generation, now=now
            ),
            "url": url(service.namespace, service.name),
            "model": model_status(
                service, source, observed, rollout.revision, failed=trouble is not None
            ),
            "replicas": _replicas(service, observed, rollout.revision),
            "revision": rollout.revision,
        }
    )


def _ready(service: ServiceView, trouble: Trouble | None) -> Verdict:
    if trouble:
        return Verdict("Ready", "False", trouble.reason, trouble.message)
    where = url(service.namespace, service.name)
    return Verdict("Ready", "True", "Serving", f"{service.served_name} is served at {where}")


def availability(observed: Observed) -> Verdict:
    """Whether requests are answered, by whichever revision."""
    if not any(pod.ready for pod in observed.pods_of("engine")):
        return Verdict("Available", "False", "NoEngineReady", "no engine pod is ready")
    if not any(pod.ready for pod in observed.pods_of("gateway")):
        return Verdict("Available", "False", "NoGatewayReady", "the gateway is not ready")
    return Verdict("Available", "True", "Serving", "requests are answered")


def _phase(
    trouble: Trouble | None, observed: Observed, revision: str, *, available: bool
) -> ServicePhase:
    if trouble is None:
        return "Ready"
    rolling = trouble.reason in ("RollingUpdate", "Downloading")
    if available and (trouble.fault or (_ready_count(observed, revision) and not rolling)):
        return "Degraded"
    started = any(pod.running or pod.downloading for pod in observed.pods_of("engine"))
    if trouble.fault:
        return "Failed" if _ended_badly(observed, revision) else "Pending"
    return "Loading" if started else "Pending"


def _ended_badly(observed: Observed, revision: str) -> bool:
    """Whether a pod failed, and not only waits for something."""
    pods = (*observed.pods_of("engine"), *observed.pods_of("gateway"))
    failed = [p for p in pods if p.failure or (p.download and p.download.failure)]
    return any(not p.ready and p.revision in ("", revision) for p in failed)


def _ready_count(observed: Observed, revision: str) -> int:
    return sum(p.ready and p.revision == revision for p in observed.pods_of("engine"))


def _replicas(service: ServiceView, observed: Observed, revision: str) -> ReplicaCounts:
    ready, total = _ready_count(observed, revision), service.spec.replicas
    return ReplicaCounts(ready=ready, total=total, summary=f"{ready}/{total}")


def blocked_status(
    status: InferenceServiceStatus,
    *,
    generation: int,
    reason: str,
    message: str,
    available: Verdict | None,
    now: datetime,
) -> InferenceServiceStatus:
    """Nothing can be made now; what serves goes on serving, and its model stays recorded."""
    verdicts = [Verdict("Ready", "False", reason, message)]
    before = find_condition(status.conditions, "Available")
    if available is None and before:
        available = Verdict("Available", before.status, before.reason, before.message)
    if available:
        verdicts.append(available)
    return status.model_copy(
        update={
            "observed_generation": generation,
            "phase": "Pending",
            "conditions": update_conditions(
                status.conditions, verdicts, generation=generation, now=now
            ),
        }
    )
