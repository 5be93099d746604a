"""What the training-operator does with a PyTorchJob, decided for one job (pure)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flagscale_operator.kube.client import Manifest
from flagscale_operator.kube.kinds import POD, PYTORCH_JOB

INDEX_LABEL = "training.kubeflow.org/replica-index"


@dataclass(frozen=True, slots=True)
class Gang:
    """What all pods of one attempt share; the training-operator tells it them as variables."""

    replicas: int
    processes: int
    port: int
    threads: int

    def environ(self, index: int) -> dict[str, str]:
        """Variables of torchrun for one pod; its master is on this machine."""
        return {
            "PET_NNODES": str(self.replicas),
            "PET_NPROC_PER_NODE": str(self.processes),
            "PET_NODE_RANK": str(index),
            "PET_MASTER_ADDR": "127.0.0.1",
            "PET_MASTER_PORT": str(self.port),
            "OMP_NUM_THREADS": str(self.threads),
            "PYTHONUNBUFFERED": "1",
        }

    @staticmethod
    def port_of(pods: Sequence[Manifest]) -> int | None:
        """The rendezvous port that pods of the gang were made with."""
        for pod in pods:
            env = pod["spec"]["containers"][0]["env"]
            return int(next(e["value"] for e in env if e["name"] == "PET_MASTER_PORT"))
        return None


@dataclass(frozen=True, slots=True)
class GangPlan:
    """What to do about the pods of one PyTorchJob, and its conditions."""

    make: tuple[int, ...] = ()
    delete: tuple[str, ...] = ()
    conditions: tuple[dict[str, Any], ...] = ()


def worker(job: Manifest) -> dict[str, Any]:
    """The replica spec of the workers."""
    spec: dict[str, Any] = job["spec"]["pytorchReplicaSpecs"]["Worker"]
    return spec


def plan_gang(job: Manifest, pods: Sequence[Manifest]) -> GangPlan:
    """As the real controller: all workers must succeed, the first failure fails the job."""
    conditions = (job.get("status") or {}).get("conditions") or ()
    over = any(c["status"] == "True" and c["type"] in ("Succeeded", "Failed") for c in conditions)
    live = tuple(p["metadata"]["name"] for p in pods if not _phase_in(p, "Succeeded", "Failed"))
    if over:
        return GangPlan(delete=live, conditions=tuple(conditions))
    if job["spec"]["runPolicy"].get("suspend"):
        everything = tuple(p["metadata"]["name"] for p in pods)
        return GangPlan(delete=everything, conditions=(_condition("Suspended"),))
    if any(_phase_in(p, "Failed") for p in pods):
        return GangPlan(delete=live, conditions=(_condition("Failed"),))
    wanted = range(worker(job)["replicas"])
    there = {int(p["metadata"]["labels"][INDEX_LABEL]) for p in pods}
    if len(there) == len(wanted) and all(_phase_in(p, "Succeeded") for p in pods):
        return GangPlan(conditions=(_condition("Succeeded"),))
    leaving = any("deletionTimestamp" in p["metadata"] for p in pods)
    return GangPlan(make=() if leaving else tuple(i for i in wanted if i not in there))


def pod_of(job: Manifest, index: int, gang: Gang) -> Manifest:
    """The pod of one rank, from the template."""
    template, metadata = worker(job)["template"], job["metadata"]
    labels = {**(template["metadata"].get("labels") or {}), INDEX_LABEL: str(index)}
    owner = {"apiVersion": PYTORCH_JOB.api_version, "kind": PYTORCH_JOB.kind,
             "name": metadata["name"], "uid": metadata["uid"], "controller": True}  # fmt: skip
    return {
        "apiVersion": POD.api_version,
        "kind": POD.kind,
        "metadata": {
            "name": f"{metadata['name']}-worker-{index}",
            "namespace": metadata["namespace"],
            "labels": labels,
            "annotations": dict(template["metadata"].get("annotations") or {}),
            "ownerReferences": [owner],
        },
        "spec": _told(template["spec"], gang.environ(index)),
        "status": {"phase": "Pending"},
    }


def _told(spec: dict[str, Any], environ: dict[str, str]) -> dict[str, Any]:
    """The pod spec with variables put before the template's own, except those of torchrun."""
    container = spec["containers"][0]
    own = [{"name": name, "value": value} for name, value in environ.items()]
    given = [
        e for e in container["env"] if not (e["name"].startswith("PET_") and e["name"] in environ)
    ]
    return {**spec, "containers": [{**container, "env": [*own, *given]}]}


def _condition(kind: str) -> dict[str, Any]:
    return {"type": kind, "status": "True"}


def _phase_in(pod: Manifest, *phases: str) -> bool:
    return (pod.get("status") or {}).get("phase") in phases
