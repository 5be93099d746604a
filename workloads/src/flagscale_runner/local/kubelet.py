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
from flagscale_runner.local.mounts import Mounts
from flagscale_runner.local.objects import FolderKube
from flagscale_runner.local.pod_folder import PodFolder
from flagscale_runner.local.pod_program import (
    NotHereError,
    PodProgram,
    claims_of,
    configuration,
    files_of,
    missing_device,
    mounts_of,
    program_of,
    projected_folder,
)
from flagscale_runner.local.probing import answers
from flagscale_runner.local.secret_files import (
    UnreadableSecretError,
    Values,
    named,
    projected,
    read_secret,
)
from flagscale_runner.local.serving_ports import assign_port, is_serving, port_of_pod, serve_file

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
        status = self._started(pod, folder) if folder.started() else self._start(pod, folder)
        return pod if status == pod["status"] else self._report(pod, status)

    def begin_deletion(self, pod: Manifest) -> Manifest:
        """Mark it; the next passes end it."""
        if "deletionTimestamp" in pod["metadata"]:
            return pod
        stamped = {**pod["metadata"], "deletionTimestamp": format_time(self._clock())}
        return self._kube.put(POD, {**pod, "metadata": stamped})

    def remove_ended(self, pod: Manifest) -> None:
        """Forget a pod of which nothing runs."""
        metadata = pod["metadata"]
        self._kube.remove(POD, metadata["namespace"], metadata["name"], uid=metadata["uid"])
        shutil.rmtree(self._folder(pod).path, ignore_errors=True)

    def _started(self, pod: Manifest, folder: PodFolder) -> pod_status.Status:
        end = folder.end()
        first = folder.first_end() or end  # killed with the whole pod, it has said nothing itself
        status = pod_status.terminated(pod, end) if end else self._running(pod)
        return pod_status.before_it(pod, status, first)

    def _running(self, pod: Manifest) -> pod_status.Status:
        if not is_serving(pod):
            return pod_status.running(pod)
        ready = answers(pod, port_of_pod(self._folders, pod))
        return pod_status.probed(pod, ready=ready, now=self._clock())

    def _folder(self, pod: Manifest) -> PodFolder:
        uid = pod["metadata"]["uid"]
        return PodFolder(self._folders.pods / uid, uid)

    def _remove(self, pod: Manifest, folder: PodFolder) -> Manifest | None:
        if folder.started() and folder.end() is None:
            folder.ask_to_end()
            return self.begin_deletion(pod)
        self.remove_ended(pod)
        return None

    def _start(self, pod: Manifest, folder: PodFolder) -> pod_status.Status:
        now, last = self._clock(), self._spawned.get(folder.uid)
        if last and (now - last).total_seconds() < SPAWN_AGAIN_S:
            return self._spawning(pod)
        namespace = pod["metadata"]["namespace"]
        claims = {name: self._folders.claim(namespace, name) for name in claims_of(pod)}
        for name, path in claims.items():
            if not path.is_dir():
                missing = f'persistentvolumeclaim "{name}" not found: {path} is no folder'
                return pod_status.unschedulable(missing)
        if device := missing_device(pod):
            return pod_status.unschedulable(device)
        mounts = mounts_of(pod, folder.path, claims, self._folders.downloads(namespace))
        try:
            secrets = self._secrets(pod)
            program = program_of(pod, mounts, folder.path, self._shell, secrets)
        except NotHereError as error:
            return pod_status.misconfigured(pod, str(error))
        files = {configuration(pod): self._files(pod, mounts)}
        for volume, texts in (*files.items(), *projected(pod, secrets).items()):
            for name, text in texts.items():
                write_whole(projected_folder(folder.path, volume) / name, text)
        _start(folder, program, mounts)
        self._spawned[folder.uid] = now
        return self._spawning(pod)

    def _spawning(self, pod: Manifest) -> pod_status.Status:
        return pod_status.before_it(pod, pod_status.running(pod), None)

    def _secrets(self, pod: Manifest) -> dict[str, Values]:
        namespace = pod["metadata"]["namespace"]
        paths = {name: self._folders.secret(namespace, name) for name in sorted(named(pod))}
        try:
            return {name: read_secret(path.resolve()) for name, path in paths.items()
                    if path.exists()}  # fmt: skip
        except UnreadableSecretError as error:
            raise NotHereError(f"--secret: {error}") from error

    def _files(self, pod: Manifest, mounts: Mounts) -> dict[str, str]:
        files = files_of(pod, mounts)
        if not is_serving(pod):
            return {**files, "token": self._kube.issue_token(pod, _audience(pod))}
        port = assign_port(self._folders, pod)
        return {name: serve_file(text, self._folders, pod, port) for name, text in files.items()}

    def _report(self, pod: Manifest, status: pod_status.Status) -> Manifest:
        return self._kube.put_status(POD, {**pod, "status": status})


def _start(folder: PodFolder, program: PodProgram, mounts: Mounts) -> None:
    programs = (program.first, program) if program.first else (program,)
    folder.start(
        [p.command for p in programs],
        [p.environ for p in programs],
        cwd=program.cwd,
        grace_s=program.grace_s,
        inside=dict(mounts.folders),
    )


def _audience(pod: Manifest) -> str:
    metadata = pod["metadata"]
    return audience(metadata["namespace"], metadata["labels"][keys.TRAIN_JOB_LABEL])
