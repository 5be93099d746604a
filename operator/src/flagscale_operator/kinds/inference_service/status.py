"""What the user reads: phase, conditions, model, replicas. Pure, equal when nothing changed."""

from collections import Counter
from datetime import datetime

from flagscale_api.v1alpha1.engine import EngineName
from flagscale_api.v1alpha1.inference_service_status import (
    InferenceServiceStatus,
    ReplicaCounts,
    RevisionReplicas,
    ServicePhase,
)
from flagscale_operator.kinds.conditions import Verdict, find_condition, update_conditions
from flagscale_operator.kinds.inference_service.facts import Observed
from flagscale_operator.kinds.inference_service.model_status import model_status
from flagscale_operator.kinds.inference_service.names import selector_text, url
from flagscale_operator.kinds.inference_service.readiness import (
    Rollout,
    availability,
    holds_requests,
    only_scaling,
    readiness,
    ready_count,
)
from flagscale_operator.kinds.inference_service.scaling import last_scaling
from flagscale_operator.kinds.inference_service.source import ModelSource
from flagscale_operator.kinds.inference_service.view import ServiceView
from flagscale_operator.kinds.inference_service.why_not_ready import Trouble


def serving_status(
    service: ServiceView, source: ModelSource, observed: Observed, rollout: Rollout, now: datetime
) -> InferenceServiceStatus:
    """The status of a service that has a model."""
    trouble = None if rollout.complete and not rollout.desired.final else rollout.desired.trouble
    if trouble and only_scaling(service, observed, rollout, trouble):
        trouble = None
    available = availability(observed, holds=holds_requests(service))
    verdicts = [
        readiness(service, observed, rollout, trouble),
        available,
        *rollout.desired.verdicts,
    ]
    phase = _phase(trouble, observed, rollout, available=available.status == "True")
    if trouble is None and service.spec.replicas == 0:
        phase = "Idle"
    return service.status.model_copy(
        update={
            "observed_generation": service.generation,
            "phase": phase,
            "conditions": update_conditions(
                service.status.conditions,
                verdicts,
                generation=service.generation,
                now=now,
            ),
            "url": url(service.namespace, service.name),
            "runtime": service.spec.effective_runtime,
            "engine": _engine(service, observed, rollout),
            "rollout": rollout.desired.rollout,
            "model": model_status(service, source, observed, rollout, failed=trouble is not None),
            "replicas": _replicas(service, observed, rollout),
            "selector": selector_text(service),
            "last_scaling": last_scaling(service, observed.load, now),
            "revision": rollout.revision,
        }
    )


def _engine(service: ServiceView, observed: Observed, rollout: Rollout) -> EngineName:
    """The wanted engine; but while another one serves, or serves again, that one.

    It is what `auto` keeps, so an edit that comes to nothing and is taken back changes no engine.
    """
    before, upgrade = service.status.engine, rollout.desired.rollout
    given_up = upgrade is not None and upgrade.rolled_back is not None
    serves = any(pod.ready for pod in observed.pods_of("engine"))
    if before and (given_up or (serves and not rollout.complete)):
        return before
    return service.engine


def _phase(
    trouble: Trouble | None, observed: Observed, rollout: Rollout, *, available: bool
) -> ServicePhase:
    if trouble is None:
        return "Ready"
    revision = rollout.revision
    rolling = trouble.reason in ("RollingUpdate", "Downloading")
    if available and (trouble.fault or (ready_count(observed, revision) and not rolling)):
        return "Degraded"
    started = any(pod.running or pod.downloading for pod in observed.pods_of("engine"))
    if trouble.fault:
        failed = rollout.desired.failure or _ended_badly(observed, revision)
        return "Failed" if failed else "Pending"
    return "Loading" if started else "Pending"


def _ended_badly(observed: Observed, revision: str) -> bool:
    """Whether a pod failed, and not only waits for something."""
    pods = (*observed.pods_of("engine"), *observed.pods_of("gateway"))
    failed = [p for p in pods if p.failure or (p.download and p.download.failure)]
    return any(not p.ready and p.revision in ("", revision) for p in failed)


def _replicas(service: ServiceView, observed: Observed, rollout: Rollout) -> ReplicaCounts:
    ready, total = ready_count(observed, rollout.revision), service.spec.replicas
    current = rollout.desired.current_replicas
    return ReplicaCounts(
        ready=ready,
        total=total,
        current=current,
        summary=f"{ready}/{total}",
        revisions=_by_revision(observed, rollout.revision),
    )


def _by_revision(observed: Observed, wanted: str) -> list[RevisionReplicas]:
    count = Counter(pod.revision for pod in observed.pods_of("engine") if pod.revision)
    return [
        RevisionReplicas(revision=name, ready=ready_count(observed, name), current=count[name])
        for name in sorted(count, key=lambda name: (name != wanted, name))
    ]


def with_engine(service: ServiceView) -> InferenceServiceStatus:
    """The status of a service that can't be changed now: the engine that serves, or is to."""
    engine = service.status.engine or service.engine
    return service.status.model_copy(update={"engine": engine})


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
