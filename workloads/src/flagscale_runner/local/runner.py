"""The runner of this machine: writes wishes into the folder, and sees to it that an agent works."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from flagscale_api import keys
from flagscale_operator.kube.kinds import POD, TRAIN_JOB
from flagscale_runner.base import Manifest, RunnerError, Target, has_ended
from flagscale_runner.documents import validated
from flagscale_runner.local.container import LOG
from flagscale_runner.local.detached import start_detached
from flagscale_runner.local.durable import is_locked
from flagscale_runner.local.folders import Folders, folders_of
from flagscale_runner.local.objects import FolderKube

POLL_S: Final = 0.2
AGENT_START_S: Final = 5.0
"""An agent takes a moment to load: none is started over it meanwhile."""


class LocalRunner:
    """Implements `Runner` for TrainJobs."""

    def __init__(self, folders: Folders, environ: Mapping[str, str]) -> None:
        self._folders = folders
        self._environ = environ
        self._kube = FolderKube(folders)
        self._started_agent_at = -AGENT_START_S

    @classmethod
    def of(cls, environ: Mapping[str, str] = os.environ) -> "LocalRunner":
        """The runner of the current user."""
        return cls(folders_of(environ), environ)

    def submit(self, body: Manifest) -> Target:
        """See `Runner.submit`; a job that has ended is run anew."""
        target = validated(body)
        if target.kind != TRAIN_JOB.kind:
            raise RunnerError(f"{target}: runs in a cluster only; a TrainJob runs here too")
        manifest = {**body, "metadata": {**body["metadata"], "namespace": target.namespace}}
        known = self.status(target)
        if known and has_ended(known):
            self.stop(target)
            known = None
        if known is None:
            manifest.pop("status", None)
            self._kube.add(TRAIN_JOB, manifest)
        elif known["spec"] != body["spec"]:
            raise RunnerError(
                f"{target}: runs with another spec; stop it first, or give the new one another name"
            )
        self._need_agent()
        return target

    def use_folder(self, namespace: str, claim: str, folder: Path) -> None:
        """Let a folder stand for a volume claim."""
        if not folder.is_dir():
            raise RunnerError(f"--volume {claim}: is no folder, got {folder}; make it first")
        link = self._folders.claim(namespace, claim)
        link.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        scratch = link.with_name(f".{claim}.{os.getpid()}")
        scratch.symlink_to(folder.absolute())
        scratch.replace(link)

    def status(self, target: Target) -> Manifest | None:
        """See `Runner.status`."""
        return self._kube.find(TRAIN_JOB, target.namespace, target.name)

    def jobs(self) -> list[Manifest]:
        """All TrainJobs of this machine."""
        return list(self._kube.objects(TRAIN_JOB))

    def suspend(self, target: Target, *, suspend: bool) -> None:
        """See `Runner.suspend`."""
        body = self.existing(target)
        if has_ended(body):
            raise RunnerError(f"{target}: has ended; run the file again")
        self._kube.put(TRAIN_JOB, {
            "metadata": {"name": target.name, "namespace": target.namespace},
            "spec": {**body["spec"], "suspend": suspend},
        })  # fmt: skip
        self._need_agent()

    def stop(self, target: Target) -> None:
        """See `Runner.stop`; returns once no process of it is left."""
        uid = self.existing(target)["metadata"]["uid"]
        self._kube.remove(TRAIN_JOB, target.namespace, target.name, uid=uid)
        self._need_agent()
        while any(_is_of(pod, uid) for pod in self._kube.objects(POD, target.namespace)):
            self._need_agent()
            time.sleep(POLL_S)

    def wait(self, target: Target, on_change: Callable[[Manifest], None]) -> Manifest:
        """See `Runner.wait`."""
        last: Manifest | None = None
        while True:
            body = self.status(target)
            if body is None:
                raise RunnerError(f"{target}: was stopped meanwhile")
            if body != last:
                on_change(body)
                last = body
            if has_ended(body) or (body.get("status") or {}).get("phase") == "Suspended":
                return body
            self._need_agent()
            time.sleep(POLL_S)

    def logs(self, target: Target, *, follow: bool) -> Iterator[str]:
        """See `Runner.logs`."""
        uid = self.existing(target)["metadata"]["uid"]
        seen: dict[str, int] = {}
        while True:
            pods = self._newest_pods(target, uid)
            for pod in pods:
                yield from self._new_lines(pod, seen, alone=len(pods) == 1)
            body = self.status(target)
            if not follow or body is None or has_ended(body):
                return
            time.sleep(POLL_S)

    def _newest_pods(self, target: Target, uid: str) -> list[Manifest]:
        pods = [p for p in self._kube.objects(POD, target.namespace) if _is_of(p, uid)]
        newest = max((_attempt(p) for p in pods), default=0)
        return [p for p in pods if _attempt(p) == newest]

    def _new_lines(self, pod: Manifest, seen: dict[str, int], *, alone: bool) -> Iterator[str]:
        uid, name = pod["metadata"]["uid"], pod["metadata"]["name"]
        path = self._folders.pods / uid / LOG
        if not path.exists():
            return
        with path.open("rb") as file:
            file.seek(seen.get(uid, 0))
            for raw in file:
                if not raw.endswith(b"\n"):
                    break
                seen[uid] = seen.get(uid, 0) + len(raw)
                line = raw.decode(errors="replace").rstrip("\n")
                yield line if alone else f"[{name}] {line}"

    def existing(self, target: Target) -> Manifest:
        """The resource; RunnerError when it is not there."""
        body = self.status(target)
        if body is None:
            raise RunnerError(f"{target}: is not there; `flagscale status` lists what is")
        return body

    def _need_agent(self) -> None:
        now = time.monotonic()
        if now - self._started_agent_at < AGENT_START_S or is_locked(self._folders.agent_lock):
            return
        self._started_agent_at = now
        root = self._folders.root
        start_detached("flagscale_runner.local", str(root), self._environ, root / "agent.log")


def _is_of(pod: Manifest, uid: str) -> bool:
    return bool(pod["metadata"]["labels"].get(keys.OWNER_UID_LABEL) == uid)


def _attempt(pod: Manifest) -> int:
    return int(pod["metadata"]["labels"].get(keys.ATTEMPT_LABEL, 0))
