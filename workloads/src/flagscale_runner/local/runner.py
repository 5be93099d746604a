"""The runner of this machine: writes wishes into the folder, and sees to it that an agent works."""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from flagscale_api import keys
from flagscale_operator.kube.kinds import (
    AGENT_TOOL,
    AGENT_TOOL_SOURCE,
    EVENT,
    INFERENCE_SERVICE,
    POD,
    TRAIN_JOB,
)
from flagscale_runner.base import Manifest, RunnerError, Surroundings, Target, has_ended
from flagscale_runner.local.container import LOG
from flagscale_runner.local.detached import start_detached
from flagscale_runner.local.durable import is_locked, write_whole
from flagscale_runner.local.folders import Folders, folders_of
from flagscale_runner.local.objects import FolderKube
from flagscale_runner.local.secret_files import UnreadableSecretError, read_secret
from flagscale_runner.local.service_spec import service_here, with_notes
from flagscale_runner.local.serving_ports import front_port
from flagscale_runner.talk.local_door import post
from flagscale_runner.waiting import existing, wait_until_settled, with_pods

POLL_S: Final = 0.2
KINDS: Final = {
    kind.kind: kind for kind in (TRAIN_JOB, INFERENCE_SERVICE, AGENT_TOOL, AGENT_TOOL_SOURCE)
}
API_KEY: Final = "FLAGSCALE_API_KEY"
"""Variable with the key of services that ask for one."""
AGENT_START_S: Final = 5.0
"""An agent takes a moment to load: none is started over it meanwhile."""


class LocalRunner:
    """Implements `Runner`; what only a cluster has is told in a condition."""

    def __init__(self, folders: Folders, environ: Mapping[str, str]) -> None:
        self._folders = folders
        self._environ = environ
        self._kube = FolderKube(folders)
        self._started_agent_at = -AGENT_START_S

    @classmethod
    def of(cls, environ: Mapping[str, str] = os.environ) -> "LocalRunner":
        """The runner of the current user."""
        return cls(folders_of(environ), environ)

    @property
    def namespace(self) -> str:
        """See `Runner.namespace`."""
        return "default"

    def submit(self, body: Manifest) -> Target:
        """See `Runner.submit`; a changed spec is taken over, but not by a TrainJob that runs."""
        from flagscale_runner.documents import validated  # models, which looking needs not

        target = validated(body)
        kind = KINDS[target.kind]
        manifest = {**body, "metadata": {**body["metadata"], "namespace": target.namespace}}
        manifest.pop("status", None)
        if kind is INFERENCE_SERVICE:
            manifest = service_here(manifest)
        known = self._kube.find(kind, target.namespace, target.name)
        if known and has_ended(known):
            self.stop(target)
            known = None
        if known is None:
            self._kube.add(kind, manifest)
        elif known["spec"] != manifest["spec"]:
            self._change(target, manifest)
        self._need_agent()
        return target

    def _change(self, target: Target, manifest: Manifest) -> None:
        if target.kind == TRAIN_JOB.kind:
            raise RunnerError(
                f"{target}: runs with another spec; stop it first, or give the new one another name"
            )
        self._kube.put(KINDS[target.kind], manifest)

    def use_engine(self, engine: str, python: Path) -> None:
        """Let an engine run in an environment of its own, by its interpreter."""
        if not os.access(python, os.X_OK):
            raise RunnerError(f"--engine-python {engine}: is no program, got {python}; correct it")
        write_whole(self._folders.engine_file(engine), str(python.absolute()))

    def use_folder(self, namespace: str, claim: str, folder: Path) -> None:
        """Let a folder stand for a volume claim."""
        if not folder.is_dir():
            raise RunnerError(f"--volume {claim}: is no folder, got {folder}; make it first")
        _link(self._folders.claim(namespace, claim), folder.absolute())

    def use_secret(self, namespace: str, name: str, path: Path) -> None:
        """Let a folder with a file for each key, or a file of KEY=VALUE lines, be a Secret.

        Its values are read whenever a pod starts.
        """
        try:
            read_secret(path)
        except UnreadableSecretError as error:
            raise RunnerError(f"--secret {name}: {error}; correct it") from error
        _link(self._folders.secret(namespace, name), path.absolute())

    def status(self, target: Target) -> Manifest | None:
        """See `Runner.status`; the URL of a service is the one on this machine."""
        body = self._kube.find(KINDS[target.kind], target.namespace, target.name)
        return self._at_home(body) if body else None

    def resources(self, kind: str, namespace: str | None = None) -> list[Manifest]:
        """See `Runner.resources`."""
        return [self._at_home(body) for body in self._kube.objects(KINDS[kind], namespace)]

    def _at_home(self, body: Manifest) -> Manifest:
        metadata = body["metadata"]
        if body["kind"] != INFERENCE_SERVICE.kind or not body.get("status"):
            return body
        from flagscale_operator.kinds.inference_service.names import url

        where = (metadata["namespace"], metadata["name"])
        port = front_port(self._folders, *where)
        inside, outside = url(*where), f"http://127.0.0.1:{port}/v1" if port else ""
        text = json.dumps(body["status"]).replace(inside, outside)
        return with_notes({**body, "status": json.loads(text)})

    def surroundings(self, target: Target) -> Surroundings:
        """See `Runner.surroundings`."""
        uid = existing(self, target)["metadata"]["uid"]
        events = [
            e
            for e in self._kube.objects(EVENT, target.namespace)
            if (e.get("involvedObject") or e.get("regarding") or {}).get("uid") == uid
        ]
        pods = [p for p in self._kube.objects(POD, target.namespace) if _is_of(p, uid)]
        return Surroundings(pods, events)

    def ask(self, target: Target, path: str, body: Manifest) -> Iterator[str]:
        """See `Runner.ask`."""
        door = existing(self, target)["status"]["url"].removesuffix("/v1")
        return post(f"{door}{path}", body, key=self._environ.get(API_KEY))

    def suspend(self, target: Target, *, suspend: bool) -> None:
        """See `Runner.suspend`."""
        if target.kind != TRAIN_JOB.kind:
            raise RunnerError(f"{target}: only a TrainJob is suspended; stop it instead")
        body = existing(self, target)
        if has_ended(body):
            raise RunnerError(f"{target}: has ended; run the file again")
        self._kube.put(TRAIN_JOB, {
            "metadata": {"name": target.name, "namespace": target.namespace},
            "spec": {**body["spec"], "suspend": suspend},
        })  # fmt: skip
        self._need_agent()

    def stop(self, target: Target) -> None:
        """See `Runner.stop`; returns once no process of it is left."""
        uid = existing(self, target)["metadata"]["uid"]
        self._kube.remove(KINDS[target.kind], target.namespace, target.name, uid=uid)
        self._need_agent()
        while any(_is_of(pod, uid) for pod in self._kube.objects(POD, target.namespace)):
            self._need_agent()
            time.sleep(POLL_S)

    def wait(self, target: Target, on_change: Callable[[Manifest], None]) -> Manifest:
        """See `Runner.wait`."""
        return wait_until_settled(
            self, target, on_change, poll_s=POLL_S, meanwhile=self._need_agent
        )

    def logs(self, target: Target, *, follow: bool) -> Iterator[str]:
        """See `Runner.logs`."""
        uid = with_pods(self, target)["metadata"]["uid"]
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

    def _need_agent(self) -> None:
        now = time.monotonic()
        if now - self._started_agent_at < AGENT_START_S or is_locked(self._folders.agent_lock):
            return
        self._started_agent_at = now
        root = self._folders.root
        start_detached("flagscale_runner.local", str(root), self._environ, root / "agent.log")


def _link(link: Path, target: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch = link.with_name(f".{link.name}.{os.getpid()}")
    scratch.unlink(missing_ok=True)
    scratch.symlink_to(target)
    scratch.replace(link)


def _is_of(pod: Manifest, uid: str) -> bool:
    return bool(pod["metadata"]["labels"].get(keys.OWNER_UID_LABEL) == uid)


def _attempt(pod: Manifest) -> int:
    return int(pod["metadata"]["labels"].get(keys.ATTEMPT_LABEL, 0))
