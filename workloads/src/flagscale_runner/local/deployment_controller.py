"""Carries out what `plan_deployment` decides, and tells gateways where ready engines are."""

import secrets
from collections.abc import Callable, Sequence
from datetime import datetime

from flagscale_api import keys
from flagscale_operator.kube.client import Manifest
from flagscale_operator.kube.kinds import DEPLOYMENT, POD
from flagscale_runner.local.deployments import is_ready, plan_deployment, pod_of
from flagscale_runner.local.durable import write_whole
from flagscale_runner.local.folders import Folders
from flagscale_runner.local.kubelet import Kubelet
from flagscale_runner.local.objects import FolderKube
from flagscale_runner.local.serving_ports import port_of_pod


class DeploymentController:
    """One Deployment at a time, with the pods that it owns."""

    def __init__(
        self, kube: FolderKube, kubelet: Kubelet, folders: Folders, clock: Callable[[], datetime]
    ) -> None:
        self._kube = kube
        self._kubelet = kubelet
        self._folders = folders
        self._clock = clock

    def sync(self, deployment: Manifest, pods: Sequence[Manifest]) -> int:
        """Pods as wanted; how many were made."""
        decided = plan_deployment(deployment, pods, self._clock())
        if decided.status != deployment.get("status"):
            kept = {k: v for k, v in deployment["metadata"].items() if k != "resourceVersion"}
            self._kube.put_status(
                DEPLOYMENT, {**deployment, "metadata": kept, "status": decided.status}
            )
        for pod in pods:
            name = pod["metadata"]["name"]
            if name in decided.delete:
                self._kubelet.begin_deletion(pod)
            elif name in decided.restart:
                self._kubelet.remove_ended(pod)
                self._kube.add(POD, pod_of(deployment, "", ended=pod))
        for _ in range(decided.make):
            self._kube.add(POD, pod_of(deployment, secrets.token_hex(3)))
        self._tell_addresses(deployment, pods)
        return decided.make + len(decided.restart)

    def _tell_addresses(self, deployment: Manifest, pods: Sequence[Manifest]) -> None:
        labels = deployment["metadata"]["labels"]
        if labels[keys.COMPONENT_LABEL] != "engine":
            return
        ready = [p for p in pods if is_ready(p) and "deletionTimestamp" not in p["metadata"]]
        lines = sorted(f"127.0.0.1:{port_of_pod(self._folders, p)}" for p in ready)
        file = self._folders.addresses(
            deployment["metadata"]["namespace"], labels[keys.INFERENCE_SERVICE_LABEL]
        )
        text = "".join(f"{line}\n" for line in lines)
        if not file.exists() or file.read_text() != text:
            write_whole(file, text)
