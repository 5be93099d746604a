"""A Kubernetes API in memory: versions, uids, generations and conflicts, as `Kube` promises them.

Simplified: server-side apply replaces each top-level field that it sends, keeps the others, and
knows no field ownership; `refuse` and `lose_answer` make the next request fail.
"""

import copy
import itertools
from dataclasses import dataclass
from typing import TypeVar

from flagscale_operator.errors import ApiError
from flagscale_operator.kube.client import Manifest
from flagscale_operator.kube.kinds import KubeKind

Identity = tuple[str, str, str]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """One request, as it was received."""

    verb: str
    kind: str
    namespace: str
    name: str
    body: Manifest | None = None


class FakeKube:
    """Implements `Kube`; `calls` has every request, `objects` what is stored."""

    def __init__(self, *objects: tuple[KubeKind, Manifest]) -> None:
        self.calls: list[Call] = []
        self.objects: dict[Identity, Manifest] = {}
        self.missing_kinds: set[str] = set()
        self._versions = itertools.count(1)
        self._failures: list[tuple[str, Exception]] = []
        self._lost: list[tuple[str, Exception]] = []
        for kind, manifest in objects:
            self.put(kind, manifest)

    def put(self, kind: KubeKind, manifest: Manifest) -> Manifest:
        """Store an object as somebody else would, without recording a call."""
        return copy.deepcopy(self._store(kind, self._identity(kind, manifest), manifest))

    def peek(self, kind: KubeKind, namespace: str, name: str) -> Manifest | None:
        """What is stored, without recording a call."""
        return copy.deepcopy(self.objects.get((kind.kind, namespace, name)))

    def refuse(self, verb: str, error: Exception) -> None:
        """Let the next request with this verb fail before it does anything."""
        self._failures.append((verb, error))

    def lose_answer(self, verb: str, error: Exception) -> None:
        """Let the next request with this verb take effect and then fail."""
        self._lost.append((verb, error))

    def verbs(self, kind: KubeKind | None = None) -> list[str]:
        """The verbs so far, of one kind or of all."""
        return [c.verb for c in self.calls if kind is None or c.kind == kind.kind]

    async def get(self, kind: KubeKind, namespace: str | None, name: str) -> Manifest | None:
        """See `Kube.get`."""
        identity = (kind.kind, namespace or "", name)
        self._record("get", identity)
        return self._answer("get", self.objects.get(identity))

    async def list(
        self, kind: KubeKind, namespace: str | None = None, *, label_selector: str = ""
    ) -> list[Manifest]:
        """See `Kube.list`; equality selectors only."""
        self._record("list", (kind.kind, namespace or "", ""))
        wanted = [s.partition("=") for s in label_selector.split(",") if s]
        found = [
            body
            for (stored_kind, stored_namespace, _), body in sorted(self.objects.items())
            if stored_kind == kind.kind
            and namespace in (None, stored_namespace)
            and all(_matches(body, key, equals, value) for key, equals, value in wanted)
        ]
        return self._answer("list", found)

    async def apply(self, kind: KubeKind, manifest: Manifest, *, force: bool) -> Manifest:
        """See `Kube.apply`."""
        identity = self._identity(kind, manifest)
        self._record("apply", identity, manifest)
        known = self.objects.get(identity, {})
        self._fence(kind, known, manifest)
        metadata = {**known.get("metadata", {}), **manifest["metadata"]}
        merged = {**known, **copy.deepcopy(manifest), "metadata": metadata}
        return self._answer("apply", self._store(kind, identity, merged))

    async def apply_status(self, kind: KubeKind, manifest: Manifest) -> Manifest:
        """See `Kube.apply_status`."""
        identity = self._identity(kind, manifest)
        self._record("apply_status", identity, manifest)
        known = self._existing(kind, identity, "patch")
        self._fence(kind, known, manifest)
        merged = {**known, "status": copy.deepcopy(manifest.get("status", {}))}
        return self._answer("apply_status", self._store(kind, identity, merged))

    async def scale(
        self, kind: KubeKind, namespace: str, name: str, replicas: int, *, version: str | None
    ) -> None:
        """See `Kube.scale`."""
        identity = (kind.kind, namespace, name)
        metadata = {"namespace": namespace, "name": name, "resourceVersion": version}
        self._record("scale", identity, {"metadata": metadata, "spec": {"replicas": replicas}})
        known = self._existing(kind, identity, "patch")
        self._fence(kind, known, {"metadata": metadata})
        spec = {**known.get("spec", {}), "replicas": replicas}
        self._answer("scale", self._store(kind, identity, {**known, "spec": spec}))

    async def create(self, kind: KubeKind, manifest: Manifest) -> Manifest:
        """See `Kube.create`."""
        identity = self._identity(kind, manifest)
        self._record("create", identity, manifest)
        if identity in self.objects:
            raise _refusal(409, "AlreadyExists", "create", kind, identity)
        return self._answer("create", self._store(kind, identity, manifest))

    async def replace(self, kind: KubeKind, manifest: Manifest) -> Manifest:
        """See `Kube.replace`."""
        identity = self._identity(kind, manifest)
        self._record("replace", identity, manifest)
        self._fence(kind, self._existing(kind, identity, "update"), manifest)
        return self._answer("replace", self._store(kind, identity, manifest))

    async def delete(
        self, kind: KubeKind, namespace: str | None, name: str, *, uid: str | None = None
    ) -> bool:
        """See `Kube.delete`."""
        identity = (kind.kind, namespace or "", name)
        self._record("delete", identity)
        known = self.objects.get(identity)
        if known is None or (uid and known["metadata"]["uid"] != uid):
            return self._answer("delete", answer=False)
        del self.objects[identity]
        return self._answer("delete", answer=True)

    @staticmethod
    def _identity(kind: KubeKind, manifest: Manifest) -> Identity:
        metadata = manifest.get("metadata") or {}
        return kind.kind, metadata.get("namespace", ""), metadata.get("name", "")

    def _record(self, verb: str, identity: Identity, body: Manifest | None = None) -> None:
        self.calls.append(Call(verb, *identity, copy.deepcopy(body)))
        for index, (failing, error) in enumerate(self._failures):
            if failing == verb:
                del self._failures[index]
                raise error
        if identity[0] in self.missing_kinds:
            raise ApiError(404, "KindNotFound", "404 page not found", verb, identity[0])

    def _answer(self, verb: str, answer: T) -> T:
        for index, (losing, error) in enumerate(self._lost):
            if losing == verb:
                del self._lost[index]
                raise error
        return copy.deepcopy(answer)

    def _existing(self, kind: KubeKind, identity: Identity, verb: str) -> Manifest:
        known = self.objects.get(identity)
        if known is None:
            raise _refusal(404, "NotFound", verb, kind, identity)
        return known

    @staticmethod
    def _fence(kind: KubeKind, known: Manifest, sent: Manifest) -> None:
        wanted = sent["metadata"].get("resourceVersion")
        current = known.get("metadata", {}).get("resourceVersion")
        if wanted is not None and wanted != current:
            identity = FakeKube._identity(kind, sent)
            raise _refusal(409, "Conflict", "update", kind, identity)

    def _store(self, kind: KubeKind, identity: Identity, manifest: Manifest) -> Manifest:
        known, version = self.objects.get(identity), next(self._versions)
        old = (known or {}).get("metadata", {})
        body = copy.deepcopy({"apiVersion": kind.api_version, "kind": kind.kind, **manifest})
        changed = known is None or known.get("spec") != body.get("spec")
        body["metadata"] = {
            **body.get("metadata", {}),
            "uid": old.get("uid") or body.get("metadata", {}).get("uid") or f"uid-{version}",
            "generation": old.get("generation", 0) + changed,
            "resourceVersion": str(version),
        }
        self.objects[identity] = body
        return body


def _matches(body: Manifest, key: str, equals: str, value: str) -> bool:
    labels = body["metadata"].get("labels") or {}
    return labels.get(key) == value if equals else key in labels


def _refusal(status: int, reason: str, verb: str, kind: KubeKind, identity: Identity) -> ApiError:
    return ApiError(status, reason, f"{kind.plural} {identity[2]!r}: {reason}", verb, kind.plural)
