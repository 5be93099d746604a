"""What KubeRay says of a RayService and its clusters, reduced to the facts that decisions need."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from flagscale_api import keys
from flagscale_operator.kinds.inference_service.facts import Observed, ServingPod
from flagscale_operator.kinds.inference_service.rayservice.serve_applications import (
    APPLICATION,
    DEPLOYMENT,
)
from flagscale_operator.kube.kinds import CONTROLLER_REVISION, RAY_CLUSTER, RAY_SERVICE

Manifest = Mapping[str, Any]
_EXIT: Final = re.compile(r"flagscale-exit: (\{.*\})")
_BAD: Final = frozenset({"DEPLOY_FAILED", "UNHEALTHY"})


@dataclass(frozen=True, slots=True)
class EngineExit:
    """How a serving process under Ray Serve has ended."""

    code: int
    message: str


@dataclass(frozen=True, slots=True)
class RayFact:
    """A RayService; `pending` is the cluster that is to follow the active one."""

    current: bool
    """Whether KubeRay has seen the newest spec."""
    active: str
    pending: str
    application: str
    """Status of our application on the newest cluster, in Serve's word; empty: not known."""
    message: str

    @property
    def failed(self) -> bool:
        """Whether Serve has given up."""
        return self.application in _BAD

    @property
    def exit(self) -> EngineExit | None:
        """What the replica told of its process, if that is what Serve reports."""
        found = _EXIT.findall(self.message)
        try:
            told = json.loads(found[-1]) if found else {}
            return EngineExit(int(told["exitCode"]), str(told["message"]))
        except (ValueError, KeyError, TypeError):
            return None

    @property
    def newest(self) -> str:
        """The cluster of the newest spec."""
        return self.pending or self.active


@dataclass(frozen=True, slots=True)
class Baseline:
    """The last revision that has served, as its objects were made."""

    revision: str
    ray_service: Manifest
    gateway: Manifest


def observe_ray_service(body: Manifest) -> RayFact:
    """Facts of a RayService that we made; its own Ready only counts endpoints and is not used."""
    metadata, status = body["metadata"], body.get("status") or {}
    active, pending = (status.get(f"{name}ServiceStatus") or {} for name in ("active", "pending"))
    newest = pending if pending.get("rayClusterName") else active
    application = (newest.get("applicationStatuses") or {}).get(APPLICATION) or {}
    deployment = (application.get("serveDeploymentStatuses") or {}).get(DEPLOYMENT) or {}
    messages = (application.get("message"), deployment.get("message"))
    return RayFact(
        current=status.get("observedGeneration", 0) >= metadata.get("generation", 1),
        active=active.get("rayClusterName") or "",
        pending=pending.get("rayClusterName") or "",
        application=application.get("status") or "",
        message="\n".join(m for m in messages if m),
    )


def ray_service_of(observed: Observed, name: str) -> Manifest | None:
    """The RayService of a service."""
    return observed.stored.get((RAY_SERVICE.kind, name))


def ray_clusters(observed: Observed) -> dict[str, Manifest]:
    """Ray clusters by name; KubeRay copies our labels to them."""
    return {
        name: body for (kind, name), body in observed.stored.items() if kind == RAY_CLUSTER.kind
    }


def pods_in(observed: Observed, cluster: str) -> tuple[ServingPod, ...]:
    """Worker pods of a cluster that are not about to go."""
    return tuple(p for p in observed.pods_of("engine") if p.cluster == cluster)


def find_baseline(observed: Observed) -> Baseline | None:
    """The last revision that has served, if any has."""
    revisions = [b for (kind, _), b in observed.stored.items() if kind == CONTROLLER_REVISION.kind]
    if not revisions:
        return None
    newest = max(revisions, key=lambda body: (body.get("revision", 0), body["metadata"]["name"]))
    data = newest.get("data") or {}
    return Baseline(
        revision=newest["metadata"]["labels"].get(keys.REVISION_LABEL, ""),
        ray_service=data["rayService"],
        gateway=data["gateway"],
    )
