"""Why a service on Ray is not ready, in one sentence with a next step."""

from collections.abc import Mapping
from typing import Any

from flagscale_api.v1alpha1.inference_service_status import LoadFailure
from flagscale_operator.kinds.inference_service.facts import DeploymentFact, Observed
from flagscale_operator.kinds.inference_service.failures import load_failure
from flagscale_operator.kinds.inference_service.rayservice.facts import (
    RayFact,
    pods_in,
    ray_clusters,
)
from flagscale_operator.kinds.inference_service.view import ServiceView
from flagscale_operator.kinds.inference_service.why_not_ready import (
    Trouble,
    other_engine,
    why_not_ready,
)
from flagscale_operator.kinds.pod_state import Termination, explain_waiting

_TOLD_LIMIT = 600


def exit_of(fact: RayFact | None, observed: Observed) -> LoadFailure | None:
    """How the engine ended, if that is why Serve can't start its replicas."""
    if fact is None or fact.exit is None or fact.application == "RUNNING":
        return None
    pods = [p.name for p in pods_in(observed, fact.newest) if p.running and not p.ready]
    ended = Termination(fact.exit.code, None, "", fact.exit.message, None)
    return load_failure(ended, min(pods, default=fact.newest))


def ray_trouble(
    service: ServiceView,
    observed: Observed,
    *,
    fact: RayFact | None,
    revision: str,
    gateway: DeploymentFact | None,
) -> Trouble:
    """The worst news first: what failed, what is refused, what waits, what goes on by itself."""
    told = why_not_ready(service, observed, revision=revision, engines=None, gateway=gateway)
    if fact is None:
        return told
    ready = sum(p.ready and p.revision == revision for p in observed.pods_of("engine"))
    count = f"{ready} of {service.spec.replicas} engine pods are ready"
    return (
        _failed(service, fact, observed, count)
        or (told if told.fault else None)
        or _waiting_head(fact, observed)
        or _refused(ray_clusters(observed).get(fact.newest), count)
        or _untaken(fact)
        or told
    )


def _failed(service: ServiceView, fact: RayFact, observed: Observed, count: str) -> Trouble | None:
    failure = exit_of(fact, observed)
    if failure:
        message = f"{count}; the engine exited with {failure.exit_code}: {failure.message}"
        message += other_engine(service, failure.reason)
        return Trouble(failure.reason, message, fault=True)
    if not fact.failed:
        return None
    message = (
        f"{count}; Ray Serve says {fact.application}: {fact.message[-_TOLD_LIMIT:]}; "
        "`kubectl logs` of the Ray head tells more"
    )
    return Trouble("ApplicationFailed", message, fault=True)


def _waiting_head(fact: RayFact, observed: Observed) -> Trouble | None:
    heads = [p for p in observed.pods_of("head") if p.cluster == fact.newest and not p.ready]
    found = explain_waiting(heads, "the Ray head is not ready", claim_remedy="correct spec.model")
    return Trouble(*found, fault=True) if found else None


def _refused(cluster: Mapping[str, Any] | None, count: str) -> Trouble | None:
    conditions = ((cluster or {}).get("status") or {}).get("conditions") or ()
    for condition in conditions:
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            told = condition.get("message")
            message = (
                f"{count}; pods of the Ray cluster are refused: {told}; lift the quota or policy"
            )
            return Trouble("PodsRefused", message, fault=True)
    return None


def _untaken(fact: RayFact) -> Trouble | None:
    if fact.newest and fact.current:
        return None
    message = (
        "KubeRay has not taken up the RayService yet; if this lasts, check that its operator runs "
        "and watches this namespace"
    )
    return Trouble("Starting", message, fault=False)
