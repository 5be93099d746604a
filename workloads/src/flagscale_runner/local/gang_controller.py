"""Carries out what `plan_gang` decides for each PyTorchJob, and collects what lost its owner."""

import os
import socket
from collections import defaultdict

from flagscale_operator.kube.client import Manifest
from flagscale_operator.kube.kinds import POD, PYTORCH_JOB, TRAIN_JOB
from flagscale_runner.local import pod_status
from flagscale_runner.local.gangs import Gang, plan_gang, pod_of, worker
from flagscale_runner.local.kubelet import Kubelet
from flagscale_runner.local.objects import FolderKube


class GangController:
    """One pass over everything with `sync`."""

    def __init__(self, kube: FolderKube, kubelet: Kubelet) -> None:
        self._kube = kube
        self._kubelet = kubelet

    def sync(self) -> int:
        """Jobs, pods and processes brought together; how many pods have not ended."""
        self._collect_garbage()
        jobs = {job["metadata"]["uid"]: job for job in self._kube.objects(PYTORCH_JOB)}
        pods: defaultdict[str, list[Manifest]] = defaultdict(list)
        for pod in list(self._kube.objects(POD)):
            owner = pod["metadata"]["ownerReferences"][0]["uid"]
            if kept := self._kubelet.sync(pod, wanted=owner in jobs):
                pods[owner].append(kept)
        made = sum(self._sync_gang(job, pods[uid]) for uid, job in jobs.items())
        return made + sum(not pod_status.ended(p["status"]) for ps in pods.values() for p in ps)

    def _collect_garbage(self) -> None:
        owners = {job["metadata"]["uid"] for job in self._kube.objects(TRAIN_JOB)}
        for job in list(self._kube.objects(PYTORCH_JOB)):
            metadata = job["metadata"]
            if metadata["ownerReferences"][0]["uid"] not in owners:
                self._kube.remove(PYTORCH_JOB, metadata["namespace"], metadata["name"])

    def _sync_gang(self, job: Manifest, pods: list[Manifest]) -> int:
        decided = plan_gang(job, pods)
        conditions = list(decided.conditions)
        if conditions != ((job.get("status") or {}).get("conditions") or []):
            self._kube.put_status(
                PYTORCH_JOB, {**_unfenced(job), "status": {"conditions": conditions}}
            )
        for pod in pods:
            if pod["metadata"]["name"] in decided.delete:
                self._kubelet.begin_deletion(pod)
        if decided.make:
            replicas = worker(job)["replicas"]
            processes = int(job["spec"]["nprocPerNode"])
            threads = max(1, (os.cpu_count() or 1) // (replicas * processes))
            port = Gang.port_of(pods) or _free_port()
            gang = Gang(replicas=replicas, processes=processes, port=port, threads=threads)
            for index in decided.make:
                self._kube.add(POD, pod_of(job, index, gang))
        return len(decided.make)


def _unfenced(body: Manifest) -> Manifest:
    kept = {k: v for k, v in body["metadata"].items() if k != "resourceVersion"}
    return {**body, "metadata": kept}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
