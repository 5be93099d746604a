"""Carries out what `plan_gang` decides for one PyTorchJob."""

import os
from collections.abc import Sequence

from flagscale_operator.kube.client import Manifest
from flagscale_operator.kube.kinds import POD, PYTORCH_JOB
from flagscale_runner.local.gangs import Gang, plan_gang, pod_of, worker
from flagscale_runner.local.kubelet import Kubelet
from flagscale_runner.local.objects import FolderKube
from flagscale_runner.local.serving_ports import free_port


class GangController:
    """One PyTorchJob at a time, with the pods that it owns."""

    def __init__(self, kube: FolderKube, kubelet: Kubelet) -> None:
        self._kube = kube
        self._kubelet = kubelet

    def sync(self, job: Manifest, pods: Sequence[Manifest]) -> int:
        """Pods as wanted; how many were made."""
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
            port = Gang.port_of(pods) or free_port()
            gang = Gang(replicas=replicas, processes=processes, port=port, threads=threads)
            for index in decided.make:
                self._kube.add(POD, pod_of(job, index, gang))
        return len(decided.make)


def _unfenced(body: Manifest) -> Manifest:
    kept = {k: v for k, v in body["metadata"].items() if k != "resourceVersion"}
    return {**body, "metadata": kept}
