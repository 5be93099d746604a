"""Upgrades with a deadline: KubeRay would wait for a new cluster for ever, and never go back."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from flagscale_api import keys
from flagscale_api.v1alpha1.inference_service_status import RolloutStatus
from flagscale_operator.kinds.clock import format_duration, format_time, parse_time
from flagscale_operator.kinds.conditions import Verdict
from flagscale_operator.kinds.inference_service.pods import STARTUP_S
from flagscale_operator.kinds.inference_service.rayservice.facts import Baseline, RayFact
from flagscale_operator.kinds.inference_service.view import ServiceView
from flagscale_operator.kinds.inference_service.why_not_ready import Trouble
from flagscale_operator.kube.kinds import RAY_SERVICE

DEADLINE_S: Final = STARTUP_S + 120
Manifest = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Upgrade:
    """Where the newest revision stands; `left_s`: until it is given up, if it can be."""

    rollout: RolloutStatus
    left_s: float | None = None


def follow(service: ServiceView, wanted: str, baseline: Baseline | None, now: datetime) -> Upgrade:
    """The rollout of a revision, from when engines of it were first asked for."""
    before = service.status.rollout
    if before is None or before.revision != wanted:
        before = RolloutStatus(revision=wanted, started_at=format_time(now))
    if before.rolled_back or baseline is None or baseline.revision == wanted:
        return Upgrade(before)
    if not service.spec.replicas:
        return Upgrade(before)
    if _woken(service):
        before = before.model_copy(update={"started_at": format_time(now)})
    started = parse_time(before.started_at) or now
    return Upgrade(before, deadline_s(service) - (now - started).total_seconds())


def _woken(service: ServiceView) -> bool:
    """Whether engines are wanted now, and none was when the status was written."""
    counted = service.status.replicas
    return bool(service.spec.replicas and counted and counted.total == 0)


def deadline_s(service: ServiceView) -> int:
    """How long an upgrade may take."""
    return service.spec.upgrade_deadline_seconds or DEADLINE_S


def give_up(service: ServiceView, upgrade: Upgrade, trouble: Trouble) -> RolloutStatus:
    """The rollout with the reason why it is not tried again."""
    told = (
        f"revision {upgrade.rollout.revision} was not ready after "
        f"{format_duration(deadline_s(service))} ({trouble.reason}: {trouble.message})"
    )
    return upgrade.rollout.model_copy(update={"rolled_back": told[:1500]})


def rolled_back(rollout: RolloutStatus, baseline: Baseline) -> Trouble:
    """What Ready says once an upgrade was given up."""
    message = (
        f"{rollout.rolled_back}; revision {baseline.revision} serves again; change spec to try anew"
    )
    return Trouble("UpgradeRolledBack", message, fault=True)


def called_off(
    body: Manifest | None, fact: RayFact | None, clusters: Mapping[str, Manifest], revision: str
) -> dict[str, Any] | None:
    """The status that makes KubeRay drop its pending cluster while `revision` is the active one.

    Restoring the older spec alone would make it build yet another cluster, equal to the active one.
    """
    if body is None or fact is None or not (fact.active and fact.pending):
        return None
    if _revision(clusters.get(fact.active)) != revision:
        return None
    metadata = {key: body["metadata"][key] for key in ("name", "namespace", "resourceVersion")}
    return {
        "apiVersion": RAY_SERVICE.api_version,
        "kind": RAY_SERVICE.kind,
        "metadata": metadata,
        "status": {"pendingServiceStatus": {"rayClusterName": ""}},
    }


def _revision(cluster: Manifest | None) -> str | None:
    groups = ((cluster or {}).get("spec") or {}).get("workerGroupSpecs") or ()
    labels = [(g.get("template") or {}).get("metadata", {}).get("labels") or {} for g in groups]
    return labels[0].get(keys.REVISION_LABEL) if labels else None


def upgrading(rollout: RolloutStatus, fact: RayFact | None, replicas: int) -> Verdict:
    """Condition Upgrading: announces that a change needs twice the resources for a while."""
    if rollout.rolled_back:
        return Verdict("Upgrading", "False", "RolledBack", rollout.rolled_back)
    if fact and fact.active and fact.pending:
        message = (
            f"revision {rollout.revision} starts on a second Ray cluster with {replicas} engine "
            "pods beside the first; it takes over once all of them are ready"
        )
        return Verdict("Upgrading", "True", "SecondCluster", message)
    return Verdict("Upgrading", "False", "OneCluster", "no second Ray cluster is needed")
