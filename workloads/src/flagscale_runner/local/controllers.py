"""Everything that a cluster's own controllers do, for the objects of one folder."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

from flagscale_operator.kube.client import Manifest
from flagscale_operator.kube.kinds import (
    AGENT_TOOL,
    AGENT_TOOL_SOURCE,
    DEPLOYMENT,
    EVENT,
    INFERENCE_SERVICE,
    POD,
    POD_DISRUPTION_BUDGET,
    PYTORCH_JOB,
    SERVICE,
    TRAIN_JOB,
    KubeKind,
)
from flagscale_runner.local import pod_status
from flagscale_runner.local.deployment_controller import DeploymentController
from flagscale_runner.local.folders import Folders
from flagscale_runner.local.gang_controller import GangController
from flagscale_runner.local.kubelet import Kubelet
from flagscale_runner.local.objects import FolderKube

MADE: Final = (PYTORCH_JOB, DEPLOYMENT, SERVICE, POD_DISRUPTION_BUDGET)
"""What the reconcilers make, besides pods and the tools of a source."""
OWNERS: Final = (TRAIN_JOB, INFERENCE_SERVICE, AGENT_TOOL, AGENT_TOOL_SOURCE)


class Controllers:
    """One pass over everything with `sync`."""

    def __init__(
        self,
        kube: FolderKube,
        kubelet: Kubelet,
        gangs: GangController,
        deployments: DeploymentController,
    ) -> None:
        self._kube = kube
        self._kubelet = kubelet
        self._gangs = gangs
        self._deployments = deployments

    def sync(self) -> int:
        """Jobs, pods and processes brought together; how many pods have not ended."""
        self._collect_garbage()
        owners = self._by_uid(PYTORCH_JOB) | self._by_uid(DEPLOYMENT)
        pods: defaultdict[str, list[Manifest]] = defaultdict(list)
        for pod in list(self._kube.objects(POD)):
            owner = pod["metadata"]["ownerReferences"][0]["uid"]
            if kept := self._kubelet.sync(pod, wanted=owner in owners):
                pods[owner].append(kept)
        made = sum(self._control(owner, pods[uid]) for uid, owner in owners.items())
        return made + sum(not pod_status.ended(p["status"]) for ps in pods.values() for p in ps)

    def _control(self, owner: Manifest, pods: Sequence[Manifest]) -> int:
        controller = self._gangs if owner["kind"] == PYTORCH_JOB.kind else self._deployments
        return controller.sync(owner, pods)

    def _by_uid(self, kind: KubeKind) -> dict[str, Manifest]:
        return {body["metadata"]["uid"]: body for body in self._kube.objects(kind)}

    def _collect_garbage(self) -> None:
        owners = {uid for kind in OWNERS for uid in self._by_uid(kind)}
        for kind in (*MADE, AGENT_TOOL):
            for body in list(self._kube.objects(kind)):
                named = body["metadata"].get("ownerReferences")
                if named and named[0]["uid"] not in owners:
                    self._forget(kind, body)
        for event in list(self._kube.objects(EVENT)):
            if event["involvedObject"]["uid"] not in owners:
                self._forget(EVENT, event)

    def _forget(self, kind: KubeKind, body: Manifest) -> None:
        metadata = body["metadata"]
        self._kube.remove(kind, metadata["namespace"], metadata["name"], uid=metadata["uid"])


def controllers_of(
    kube: FolderKube,
    folders: Folders,
    environ: Mapping[str, str],
    clock: Callable[[], datetime],
) -> Controllers:
    """All of them over one folder; `environ` is the user's, of which pods get a part."""
    kubelet = Kubelet(kube, folders, environ, clock)
    return Controllers(
        kube,
        kubelet,
        GangController(kube, kubelet),
        DeploymentController(kube, kubelet, folders, clock),
    )
