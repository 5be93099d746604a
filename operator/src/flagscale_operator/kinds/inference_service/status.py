"""What the user reads: phase, conditions, model, replicas. Pure, equal when nothing changed."""

from dataclasses import dataclass
from datetime import datetime

from flagscale_api.v1alpha1.inference_service_status import (
    InferenceServiceStatus,
    ModelState,
    ModelStatus,
    ReplicaCounts,
    ServicePhase,
)
from flagscale_operator.kinds.conditions import Verdict, find_condition, update_conditions
from flagscale_operator.kinds.inference_service.desired import Desired
from flagscale_operator.kinds.inference_service.facts import Observed
from flagscale_operator.kinds.inference_service.failures import newest_failure
from flagscale_operator.kinds.inference_service.names import url
from flagscale_operator.kinds.inference_service.source import ModelSource
from flagscale_operator.kinds.inference_service.view import ServiceView
from flagscale_operator.kinds.inference_service.why_not_ready import Trouble


@dataclass(frozen=True, slots=True)
class Rollout:
    """The revision that is to serve; `complete`: everything of it is applied, settled and ready."""

    revision: str
    complete: bool
    desired: Desired


def serving_status(
    service: ServiceView, source: ModelSource, observed: Observed, rollout: Rollout, now: datetime
) -> InferenceServiceStatus:
    """The status of a service that has a model."""
    desired = rollout.desired
    trouble = None if rollout.complete and not desired.final else desired.trouble
    available = availability(observed)
    verdicts = [_ready(service, trouble), available, *desired.verdicts]
    phase = _phase(trouble, observed, rollout, available=available.status == "True")
    return service.status.model_copy(
        update={
            "observed_generation": service.generation,
            "phase": phase,
            "conditions": update_conditions(
                service.status.conditions, verdicts, generation=service.generation, now=now
            ),
            "url": url(service.namespace, service.name),
            "runtime": service.spec.effective_runtime,
            "rollout": desired.rollout,
            "model": _model(service, source, observed, rollout, trouble),
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
    trouble: Trouble | None, observed: Observed, rollout: Rollout, *, available: bool
) -> ServicePhase:
    if trouble is None:
        return "Ready"
    revision = rollout.revision
    rolling = trouble.reason == "RollingUpdate"
    if available and (trouble.fault or (_ready_count(observed, revision) and not rolling)):
        return "Degraded"
    started = any(pod.running for pod in observed.pods_of("engine"))
    if trouble.fault:
        failed = rollout.desired.failure or _ended_badly(observed, revision)
        return "Failed" if failed else "Pending"
    return "Loading" if started else "Pending"


def _ended_badly(observed: Observed, revision: str) -> bool:
    """Whether a pod failed, and not only waits for something."""
    pods = (*observed.pods_of("engine"), *observed.pods_of("gateway"))
    return any(p.failure and not p.ready and p.revision in ("", revision) for p in pods)


def _ready_count(observed: Observed, revision: str) -> int:
    return sum(p.ready and p.revision == revision for p in observed.pods_of("engine"))


def _replicas(service: ServiceView, observed: Observed, revision: str) -> ReplicaCounts:
    ready, total = _ready_count(observed, revision), service.spec.replicas
    return ReplicaCounts(ready=ready, total=total, summary=f"{ready}/{total}")


def _model(
    service: ServiceView,
    source: ModelSource,
    observed: Observed,
    rollout: Rollout,
    trouble: Trouble | None,
) -> ModelStatus:
    revision, told = rollout.revision, rollout.desired.failure
    pods = [p for p in observed.pods_of("engine") if p.revision == revision]
    before = service.status.model
    kept = before.last_failure if before and service.status.revision == revision else None
    state: ModelState = "Pending"
    if any(p.ready for p in pods):
        state = "Loaded"
    elif trouble and (told or newest_failure([p for p in pods if not p.ready])):
        state = "FailedToLoad"
    elif any(p.running for p in pods):
        state = "Loading"
    return ModelStatus(
        name=service.served_name,
        uri=source.uri,
        digest=source.digest,
        train_job=source.train_job,
        state=state,
        last_failure=told or newest_failure(pods) or kept,
    )


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
