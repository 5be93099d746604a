"""Pods of this machine: started, watched, ended, and forgotten when their owner is gone."""

import shutil
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from flagscale_api import keys
from flagscale_operator.kinds.clock import format_time
from flagscale_operator.kinds.train_job.pod import audience
from flagscale_operator.kube.client import Manifest
from flagscale_operator.kube.kinds import POD
from flagscale_runner.local import pod_status
from flagscale_runner.local.durable import write_whole
from flagscale_runner.local.folders import Folders
from flagscale_runner.local.objects import FolderKube
from flagscale_runner.local.pod_folder import PodFolder
from flagscale_runner.local.pod_program import (
    NotHereError,
    claims_of,
    files_of,
    mounts_of,
    program_of,
)

SPAWN_AGAIN_S: Final = 10.0


class Kubelet:
    """All state is in the folder, so it may die at any moment and another goes on."""

    def __init__(
        self,
        kube: FolderKube,
        folders: Folders,
        shell: Mapping[str, str],
        clock: Callable[[], datetime],
    ) -> None:
        """`shell`: the environment that pods get their PATH and the like from."""
        self._kube = kube
        self._folders = folders
        self._shell = shell
        self._clock = clock
        self._spawned: dict[str, datetime] = {}

    def sync(self, pod: Manifest, *, wanted: bool) -> Manifest | None:
        """Bring one pod and its processes together; the pod as it is now, None once removed."""
        folder = self._folder(pod)
        if not wanted or "deletionTimestamp" in pod["metadata"]:
            return self._remove(pod, folder)
        if pod_status.ended(pod["status"]):
            return pod
        if folder.started():
            end = folder.end()
            status = pod_status.terminated(end) if end else pod_status.running()
        else:
            status = self._start(pod, folder)
        return pod if status == pod["status"] else self._report(pod, status)

    def begin_deletion(self, pod: Manifest) -> Manifest:
        """Mark it; the next passes end it."""
        if "deletionTimestamp" in pod["metadata"]:
            return pod
        stamped = {**pod["metadata"], "deletionTimestamp": format_time(self._clock())}
        return self._kube.put(POD, {**pod, "metadata": stamped})

    def _folder(self, pod: Manifest) -> PodFolder:
        uid = pod["metadata"]["uid"]
        return PodFolder(self._folders.pods / uid, uid)

    def _remove(self, pod: Manifest, folder: PodFolder) -> Manifest | None:
        metadata = pod["metadata"]
        if folder.started() and folder.end() is None:
            folder.ask_to_end()
            return self.begin_deletion(pod)
        self._kube.remove(POD, metadata["namespace"], metadata["name"], uid=metadata["uid"])
        shutil.rmtree(folder.path, ignore_errors=True)
        return None

    def _start(self, pod: Manifest, folder: PodFolder) -> pod_status.Status:
        now, last = self._clock(), self._spawned.get(folder.uid)
        if last and (now - last).total_seconds() < SPAWN_AGAIN_S:
            return pod_status.running()
        namespace = pod["metadata"]["namespace"]
        claims = {name: self._folders.claim(namespace, name) for name in claims_of(pod)}
        for name, path in claims.items():
            if not path.is_dir():
                missing = f'persistentvolumeclaim "{name}" not found: {path} is no folder'
                return pod_status.unschedulable(missing)
        mounts = mounts_of(pod, folder.path, claims)
        try:
            program = program_of(pod, mounts, folder.path, self._shell)
        except NotHereError as error:
            return pod_status.misconfigured(str(error))
        token = self._kube.issue_token(pod, _audience(pod))
        for name, text in {**files_of(pod, mounts), "token": token}.items():
            write_whole(folder.path / "config" / name, text)
        folder.start(
            program.command,
            program.environ,
            cwd=program.cwd,
            grace_s=program.grace_s,
            inside=dict(mounts.folders),
        )
        self._spawned[folder.uid] = now
        return pod_status.running()

    def _report(self, pod: Manifest, status: pod_status.Status) -> Manifest:
        return self._kube.put_status(POD, {**pod, "status": status})


def _audience(pod: Manifest) -> str:
    metadata = pod["metadata"]
    return audience(metadata["namespace"], metadata["labels"][keys.TRAIN_JOB_LABEL])
