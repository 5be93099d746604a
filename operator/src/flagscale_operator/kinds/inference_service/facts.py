"""What was observed of an InferenceService, reduced to the facts that decisions need."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic import ValidationError

from flagscale_api import keys
from flagscale_api.v1alpha1.train_job_status import Artifact
from flagscale_operator.kinds.clock import parse_time
from flagscale_operator.kinds.inference_service.download_state import (
    DownloadFact,
    observe_download,
)
from flagscale_operator.kinds.inference_service.load import LoadFact
from flagscale_operator.kinds.inference_service.pods import CONTAINER
from flagscale_operator.kinds.inference_service.source import TrainJobFact
from flagscale_operator.kinds.pod_state import Termination, termination_of

Manifest = Mapping[str, Any]
RAY_CLUSTER_LABEL: Final = "ray.io/cluster"
ChildKey = tuple[str, str]
"""Kind and name."""


@dataclass(frozen=True, slots=True)
class ServingPod:
    """An engine pod or a gateway."""

    name: str
    component: str
    revision: str
    ready: bool
    running: bool
    deleting: bool
    waiting_reason: str | None = None
    waiting_message: str | None = None
    failure: Termination | None = None
    """How its container last ended, if that was no clean end."""
    cluster: str = ""
    """The Ray cluster that it belongs to, if any."""
    unready_since: datetime | None = None
    download: DownloadFact | None = None
    """The download of its model, where it is one that is downloaded."""

    @property
    def downloading(self) -> bool:
        """Whether its model is on its way."""
        return self.download is not None and self.download.running


@dataclass(frozen=True, slots=True)
class DeploymentFact:
    """How far a Deployment is."""

    replicas: int
    """Pods that are not about to go, of whichever template."""
    settled: bool
    """Its newest template runs in as many ready pods as wanted, and no other pod is left."""
    stuck: bool
    refused: str | None
    """Why its pods can't even be made: a quota, Pod Security."""


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that is known of one InferenceService besides its own body."""

    stored: Mapping[ChildKey, Manifest]
    pods: tuple[ServingPod, ...] = ()
    train_job: TrainJobFact | None = None
    load: LoadFact | None = None
    accepted: frozenset[ChildKey] = frozenset()
    """Children that are just as the API server answered our last apply of them."""

    def pods_of(self, component: str) -> tuple[ServingPod, ...]:
        """The pods of a component that are not about to go."""
        return tuple(p for p in self.pods if p.component == component and not p.deleting)


def observe_deployment(body: Manifest) -> DeploymentFact:
    """Facts of a Deployment that we made."""
    metadata, status = body["metadata"], body.get("status") or {}
    wanted = (body.get("spec") or {}).get("replicas", 1)
    conditions = {c.get("type"): c for c in status.get("conditions") or ()}
    current = status.get("observedGeneration", 0) >= metadata.get("generation", 1)
    counts = ("replicas", "updatedReplicas", "readyReplicas")
    refused = conditions.get("ReplicaFailure") or {}
    return DeploymentFact(
        replicas=status.get("replicas", 0),
        settled=current and all(status.get(count, 0) == wanted for count in counts),
        stuck=current
        and (conditions.get("Progressing") or {}).get("reason") == "ProgressDeadlineExceeded",
        refused=refused.get("message") if refused.get("status") == "True" else None,
    )


def observe_serving_pod(body: Manifest) -> ServingPod:
    """Facts of a pod of ours."""
    metadata, status = body["metadata"], body.get("status") or {}
    labels = metadata.get("labels") or {}
    conditions = {c.get("type", ""): c for c in status.get("conditions") or ()}
    containers = status.get("containerStatuses") or ()
    own: Mapping[str, Any] = next((c for c in containers if c.get("name") == CONTAINER), {})
    state = own.get("state") or {}
    scheduled = conditions.get("PodScheduled") or {}
    readiness = conditions.get("Ready") or {}
    ready = readiness.get("status") == "True"
    unscheduled = scheduled.get("status") == "False"
    download = observe_download(status)
    stuck = (download and download.waiting) or state.get("waiting") or {}
    why = scheduled if unscheduled else stuck
    return ServingPod(
        name=metadata["name"],
        component=labels.get(keys.COMPONENT_LABEL, ""),
        revision=labels.get(keys.REVISION_LABEL, ""),
        ready=ready,
        running="running" in state,
        deleting="deletionTimestamp" in metadata,
        waiting_reason=why.get("reason"),
        waiting_message=why.get("message"),
        cluster=labels.get(RAY_CLUSTER_LABEL, ""),
        unready_since=None
        if ready
        else parse_time(readiness.get("lastTransitionTime") or metadata.get("creationTimestamp")),
        failure=_failure(state) or _failure(own.get("lastState") or {}),
        download=download,
    )


def _failure(state: Mapping[str, Any]) -> Termination | None:
    ended = termination_of(state)
    return ended if ended and ended.exit_code else None


def observe_train_job(body: Manifest) -> TrainJobFact:
    """Facts of the TrainJob that a service refers to."""
    status = body.get("status") or {}
    try:
        artifact = Artifact.model_validate(status.get("artifact"))
    except ValidationError:
        artifact = None
    return TrainJobFact(body["metadata"]["name"], status.get("phase") or "Pending", artifact)
