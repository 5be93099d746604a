"""Brings changes of the folder into the view, whoever made them, as the watches of a cluster do."""

from collections.abc import Sequence

from flagscale_operator.controller.queue import KeyedQueue
from flagscale_operator.controller.store import ObjectKey, object_key
from flagscale_operator.controller.view import ClusterView
from flagscale_operator.kube.client import Manifest
from flagscale_operator.kube.kinds import KubeKind
from flagscale_runner.local.objects import FolderKube


class FolderInformer:
    """A pass costs one small file unless something changed."""

    def __init__(
        self, kube: FolderKube, view: ClusterView, queue: KeyedQueue, kinds: Sequence[KubeKind]
    ) -> None:
        self._kube = kube
        self._view = view
        self._queue = queue
        self._seen: dict[KubeKind, dict[ObjectKey, Manifest]] = {kind: {} for kind in kinds}
        self._version = -1

    def sync(self) -> None:
        """Take over what is new since the last pass, and wake whom it concerns."""
        version = self._kube.version()
        if version == self._version:
            return
        for kind in self._seen:
            self._sync_kind(kind)
        self._version = version

    def _sync_kind(self, kind: KubeKind) -> None:
        before = self._seen[kind]
        now = {object_key(body): body for body in self._kube.objects(kind)}
        for key, body in before.items():
            if key not in now or now[key]["metadata"]["uid"] != body["metadata"]["uid"]:
                self._view.drop(kind, body)
                self._wake(kind, body)
        for key, body in now.items():
            if body != before.get(key):
                self._view.keep(kind, body)
                self._wake(kind, body)
        self._seen[kind] = now

    def _wake(self, kind: KubeKind, body: Manifest) -> None:
        for key in self._view.woken_by(kind, body):
            self._queue.add(key)
