"""The stores of all watched kinds, and whose key each event of theirs adds to the queue."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from flagscale_api import keys
from flagscale_api.v1alpha1.tool_endpoint import host_and_port
from flagscale_operator.controller.queue import Key
from flagscale_operator.controller.store import ObjectKey, ObjectStore, label_of, object_key
from flagscale_operator.kube.kinds import (
    AGENT_TOOL,
    AGENT_TOOL_SOURCE,
    CONTROLLER_REVISION,
    DEPLOYMENT,
    HORIZONTAL_POD_AUTOSCALER,
    INFERENCE_SERVICE,
    POD,
    POD_DISRUPTION_BUDGET,
    PYTORCH_JOB,
    RAY_CLUSTER,
    RAY_SERVICE,
    SERVICE,
    TRAIN_JOB,
    KubeKind,
)

SERVING_CHILDREN: Final = (
    DEPLOYMENT,
    SERVICE,
    POD_DISRUPTION_BUDGET,
    HORIZONTAL_POD_AUTOSCALER,
    RAY_SERVICE,
    RAY_CLUSTER,
    CONTROLLER_REVISION,
)


@dataclass(frozen=True, slots=True)
class Watched:
    """Objects of one kind, kept for the owner that they name; of our own kinds, for themselves."""

    kind: KubeKind
    store: ObjectStore
    owner: KubeKind
    gone: ObjectStore | None = None
    """Where the last state of an object that had not ended is kept after its deletion."""

    def owner_of(self, body: Mapping[str, Any]) -> ObjectKey | None:
        """Whom the object concerns; None: nobody that is looked at here."""
        return object_key(body) if self.kind is self.owner else self.store.owner_of(body)


def referred_train_job(body: Mapping[str, Any]) -> str | None:
    """The TrainJob that an InferenceService takes its model from."""
    model = (body.get("spec") or {}).get("model") or {}
    name = (model.get("trainJobRef") or {}).get("name")
    return str(name) if name else None


def tool_name(body: Mapping[str, Any]) -> str:
    """What an AgentTool is called by: `server/name`, unique in a namespace."""
    spec = body.get("spec") or {}
    endpoint = spec.get("http") or spec.get("mcp") or spec.get("agent") or {}
    server = spec.get("server") or host_and_port(str(endpoint.get("url", "")))
    return f"{server}/{spec.get('name') or body['metadata']['name']}"


class ClusterView:
    """The stores of all watched kinds; training pods keep their last state after deletion."""

    def __init__(self) -> None:
        of_job, of_service = (
            label_of(keys.TRAIN_JOB_LABEL),
            label_of(keys.INFERENCE_SERVICE_LABEL),
        )
        self.train_jobs = ObjectStore()
        self.children = ObjectStore(owner_name=of_job)
        self.pods = ObjectStore(owner_name=of_job)
        self.gone_pods = ObjectStore(owner_name=of_job)
        self.inference_services = ObjectStore(owner_name=referred_train_job)
        self.serving_children = {
            kind: ObjectStore(owner_name=of_service) for kind in SERVING_CHILDREN
        }
        self.serving_pods = ObjectStore(owner_name=of_service)
        self.agent_tools = ObjectStore(owner_name=tool_name)
        self.sourced_tools = ObjectStore(owner_name=label_of(keys.TOOL_SOURCE_LABEL))
        self.tool_sources = ObjectStore()
        self.watched = (
            Watched(TRAIN_JOB, self.train_jobs, TRAIN_JOB),
            Watched(PYTORCH_JOB, self.children, TRAIN_JOB),
            Watched(POD, self.pods, TRAIN_JOB, gone=self.gone_pods),
            Watched(INFERENCE_SERVICE, self.inference_services, INFERENCE_SERVICE),
            *(Watched(k, s, INFERENCE_SERVICE) for k, s in self.serving_children.items()),
            Watched(POD, self.serving_pods, INFERENCE_SERVICE),
            Watched(AGENT_TOOL, self.agent_tools, AGENT_TOOL),
            Watched(AGENT_TOOL, self.sourced_tools, AGENT_TOOL_SOURCE),
            Watched(AGENT_TOOL_SOURCE, self.tool_sources, AGENT_TOOL_SOURCE),
        )

    def kinds(self) -> tuple[KubeKind, ...]:
        """Every watched kind, once."""
        return tuple(dict.fromkeys(entry.kind for entry in self.watched))

    def own(self) -> Iterator[Watched]:
        """The kinds that are reconciled."""
        return (entry for entry in self.watched if entry.kind is entry.owner)

    def keep(self, kind: KubeKind, body: Mapping[str, Any]) -> None:
        """Take over the newest state of an object."""
        for entry in self._concerned(kind, body):
            entry.store.upsert(body)

    def drop(self, kind: KubeKind, body: Mapping[str, Any]) -> None:
        """Take over that an object was deleted."""
        for entry in self._concerned(kind, body):
            entry.store.remove(body)
            if entry.gone is not None and not _ended(body):
                entry.gone.upsert(body)

    def woken_by(self, kind: KubeKind, body: Mapping[str, Any]) -> list[Key]:
        """Keys of the objects that may look different now."""
        woken = [
            Key(entry.owner.kind, *owner)
            for entry in self._concerned(kind, body)
            if (owner := entry.owner_of(body))
        ]
        if kind is TRAIN_JOB:
            waiting = self.inference_services.owned_by(object_key(body))
            woken += [Key(INFERENCE_SERVICE.kind, *object_key(service)) for service in waiting]
        if kind is AGENT_TOOL:
            rivals = self.agent_tools.owned_by((object_key(body)[0], tool_name(body)))
            woken += [
                key for one in rivals if (key := Key(kind.kind, *object_key(one))) not in woken
            ]
        return woken

    def keys(self) -> list[Key]:
        """Every object that is reconciled."""
        return [Key(e.kind.kind, *key) for e in self.own() for key in e.store.identities()]

    def phases(self, entry: Watched) -> list[str]:
        """The phase of each object of a kind, or why it is not Ready, as its status says."""
        return [_phase(entry.store.get(key) or {}) for key in entry.store.identities()]

    def _concerned(self, kind: KubeKind, body: Mapping[str, Any]) -> list[Watched]:
        return [e for e in self.watched if e.kind is kind and e.owner_of(body) is not None]


def _phase(body: Mapping[str, Any]) -> str:
    status = body.get("status") or {}
    if "phase" in status:
        return str(status["phase"])
    conditions = status.get("conditions") or ()
    return next((str(c["reason"]) for c in conditions if c["type"] == "Ready"), "Pending")


def _ended(body: Mapping[str, Any]) -> bool:
    return (body.get("status") or {}).get("phase") in ("Succeeded", "Failed")
