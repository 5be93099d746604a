"""The runner of a cluster: applies, follows and ends resources by the Kubernetes API."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from typing import Any, Final, Self, TypeVar

from flagscale_api import keys
from flagscale_operator.errors import FlagScaleError
from flagscale_operator.kube.budget import RequestBudget
from flagscale_operator.kube.connection import Connection
from flagscale_operator.kube.kinds import (
    AGENT_TOOL,
    AGENT_TOOL_SOURCE,
    DEPLOYMENT,
    EVENT,
    INFERENCE_SERVICE,
    POD,
    PYTORCH_JOB,
    RAY_CLUSTER,
    RAY_SERVICE,
    TRAIN_JOB,
    KubeKind,
)
from flagscale_runner.base import (
    WITHOUT_PODS,
    Manifest,
    RunnerError,
    Surroundings,
    Target,
    has_ended,
)
from flagscale_runner.cluster.api import ClusterApi
from flagscale_runner.cluster.kubeconfig import connection_of
from flagscale_runner.cluster.logs import merged_lines
from flagscale_runner.cluster.refusals import explained
from flagscale_runner.documents import validated
from flagscale_runner.waiting import existing, wait_until_settled, with_pods

T = TypeVar("T")
POLL_S: Final = 1.0
FIELD_MANAGER: Final = "flagscale-cli"
KINDS: Final = {
    kind.kind: kind for kind in (TRAIN_JOB, INFERENCE_SERVICE, AGENT_TOOL, AGENT_TOOL_SOURCE)
}
MADE: Final = (PYTORCH_JOB.kind, DEPLOYMENT.kind, "ReplicaSet", RAY_SERVICE.kind, RAY_CLUSTER.kind)
OWNER_LABELS: Final = {TRAIN_JOB.kind: keys.TRAIN_JOB_LABEL,
                       INFERENCE_SERVICE.kind: keys.INFERENCE_SERVICE_LABEL}  # fmt: skip


class ClusterRunner:
    """Implements `Runner`; `close` it, or use it in a `with` block."""

    def __init__(self, connection: Connection, namespace: str) -> None:
        """`namespace`: of the context, for documents that name none."""
        self._namespace = namespace
        self._connection = connection
        self._loop = asyncio.Runner()
        self._api: ClusterApi | None = None

    @classmethod
    def of(
        cls, environ: Mapping[str, str] = os.environ, context: str | None = None
    ) -> "ClusterRunner":
        """The cluster of the user's kubeconfig."""
        return cls(*connection_of(environ, context))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all connections."""
        if self._api:
            self._loop.run(self._api.close())
        self._loop.close()

    @property
    def namespace(self) -> str:
        """See `Runner.namespace`."""
        return self._namespace

    @property
    def server(self) -> str:
        """URL of the API server."""
        return self._connection.server

    def server_version(self) -> str:
        """Version of Kubernetes."""
        return self._ask(lambda api: api.version())

    def serves(self, kind: KubeKind) -> bool:
        """Whether the API server knows a kind."""
        return self._ask(lambda api: api.serves(kind))

    def deployments(self, labels: Mapping[str, str]) -> list[Manifest]:
        """All Deployments with some labels."""
        selector = ",".join(f"{name}={value}" for name, value in labels.items())
        return self._ask(lambda api: api.list(DEPLOYMENT, label_selector=selector))

    def submit(self, body: Manifest) -> Target:
        """See `Runner.submit`; fields that others own are refused by the API server."""
        metadata = {"namespace": self._namespace, **(body.get("metadata") or {})}
        manifest = {**body, "metadata": metadata}
        manifest.pop("status", None)
        target = validated(manifest)
        known = self.status(target)
        if known and target.kind == TRAIN_JOB.kind and has_ended(known):
            self.stop(target)
        self._ask(lambda api: api.apply(KINDS[target.kind], manifest, force=False))
        return target

    def status(self, target: Target) -> Manifest | None:
        """See `Runner.status`."""
        kind = KINDS[target.kind]
        return self._ask(lambda api: api.get(kind, target.namespace, target.name))

    def resources(self, kind: str, namespace: str | None = None) -> list[Manifest]:
        """See `Runner.resources`."""
        return self._ask(lambda api: api.list(KINDS[kind], namespace))

    def surroundings(self, target: Target) -> Surroundings:
        """See `Runner.surroundings`."""
        uid = existing(self, target)["metadata"]["uid"]
        pods = self._pods(target, uid)
        about = {uid, *(pod["metadata"]["uid"] for pod in pods)}
        events = self._ask(lambda api: api.list(EVENT, target.namespace))
        return Surroundings(pods, [e for e in events if _is_about(e, about, target)])

    def logs(self, target: Target, *, follow: bool) -> Iterator[str]:
        """See `Runner.logs`."""
        uid = with_pods(self, target)["metadata"]["uid"]
        pods = _newest(self._pods(target, uid))
        yield from self._each(merged_lines(self._opened(), pods, follow=follow))

    def ask(self, target: Target, path: str, body: Manifest) -> Iterator[str]:
        """See `Runner.ask`; by way of the API server, which needs `services/proxy`."""
        return self._each(self._opened().answer_lines(target.namespace, target.name, path, body))

    def suspend(self, target: Target, *, suspend: bool) -> None:
        """See `Runner.suspend`."""
        if target.kind != TRAIN_JOB.kind:
            raise RunnerError(f"{target}: only a TrainJob is suspended; stop it instead")
        if has_ended(existing(self, target)):
            raise RunnerError(f"{target}: has ended; run the file again")
        change = {"spec": {"suspend": suspend}}
        self._ask(lambda api: api.merge(TRAIN_JOB, target.namespace, target.name, change))

    def stop(self, target: Target) -> None:
        """See `Runner.stop`; returns once no pod of it is left."""
        kind, uid = KINDS[target.kind], existing(self, target)["metadata"]["uid"]
        self._ask(lambda api: api.delete(kind, target.namespace, target.name, uid=uid))
        while self._pods(target, uid) or self._still_there(target, uid):
            time.sleep(POLL_S)

    def wait(self, target: Target, on_change: Callable[[Manifest], None]) -> Manifest:
        """See `Runner.wait`."""
        return wait_until_settled(self, target, on_change, poll_s=POLL_S)

    def _still_there(self, target: Target, uid: str) -> bool:
        body = self.status(target)
        return body is not None and body["metadata"]["uid"] == uid

    def _pods(self, target: Target, uid: str) -> list[Manifest]:
        if target.kind in WITHOUT_PODS:
            return []
        selector = f"{OWNER_LABELS[target.kind]}={target.name},{keys.OWNER_UID_LABEL}={uid}"
        return self._ask(lambda api: api.list(POD, target.namespace, label_selector=selector))

    def _opened(self) -> ClusterApi:
        if self._api is None:
            self._api = self._loop.run(self._open())
        return self._api

    async def _open(self) -> ClusterApi:
        return ClusterApi.open(
            self._connection,
            field_manager=FIELD_MANAGER,
            budget=RequestBudget(rate_per_s=None),
            on_request=lambda *_: None,
        )

    def _ask(self, request: Callable[[ClusterApi], Coroutine[Any, Any, T]]) -> T:
        return self._run(request(self._opened()))

    def _each(self, lines: AsyncIterator[str]) -> Iterator[str]:
        async def next_line() -> str | None:
            return await anext(lines, None)

        while (line := self._run(next_line())) is not None:
            yield line

    def _run(self, awaited: Coroutine[Any, Any, T]) -> T:
        try:
            return self._loop.run(awaited)
        except FlagScaleError as error:
            raise explained(error, self._connection.server) from error


def _is_about(event: Manifest, uids: set[str], target: Target) -> bool:
    """Whether it tells of the resource, its pods, or what its operator has made of it."""
    about = event.get("involvedObject") or {}
    made = about.get("kind") in MADE and str(about.get("name")).startswith(f"{target.name}-")
    return made or about.get("uid") in uids


def _newest(pods: list[Manifest]) -> list[Manifest]:
    attempts = {p["metadata"]["uid"]: _attempt(p) for p in pods}
    newest = max(attempts.values(), default=0)
    found = [p for p in pods if attempts[p["metadata"]["uid"]] == newest]
    return sorted(found, key=lambda p: str(p["metadata"]["name"]))


def _attempt(pod: Manifest) -> int:
    return int(pod["metadata"]["labels"].get(keys.ATTEMPT_LABEL, 0))
