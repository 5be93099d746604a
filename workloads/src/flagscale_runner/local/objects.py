"""The Kubernetes API in a folder: what the reconcilers ask for, kept as one file per object.

Several processes work on it (the agent and any number of command lines), so every change is made
under one lock, gets the next resourceVersion, and is seen by others through the version file.
"""

import json
import secrets
import uuid
from base64 import b64encode
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

from flagscale_operator.errors import ApiError
from flagscale_operator.kinds.clock import format_time
from flagscale_operator.kube.client import Manifest
from flagscale_operator.kube.kinds import SECRET, TOKEN_REVIEW, KubeKind
from flagscale_runner.local.durable import locked, write_whole
from flagscale_runner.local.folders import Folders
from flagscale_runner.local.secret_files import UnreadableSecretError, read_secret


class FolderKube:
    """Implements `Kube`; a TokenReview is answered from the tokens that `issue_token` made."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders

    def version(self) -> int:
        """The version of the newest change."""
        try:
            return int((self._folders.root / "version").read_text())
        except (FileNotFoundError, ValueError):
            return 0

    def objects(self, kind: KubeKind, namespace: str | None = None) -> Iterator[Manifest]:
        """All objects of a kind."""
        for path in sorted((self._folders.objects / kind.kind).glob(f"{namespace or '*'}/*.json")):
            body = _read(path)
            if body is not None:
                yield body

    def find(self, kind: KubeKind, namespace: str | None, name: str) -> Manifest | None:
        """One object."""
        return _read(self._path(kind, namespace, name))

    async def get(self, kind: KubeKind, namespace: str | None, name: str) -> Manifest | None:
        """See `Kube.get`; a Secret is what stands for it."""
        if kind is SECRET:
            return self._secret(namespace or "", name)
        return self.find(kind, namespace, name)

    def _secret(self, namespace: str, name: str) -> Manifest | None:
        path = self._folders.secret(namespace, name)
        if not path.exists():
            return self.find(SECRET, namespace, name)
        try:
            values = read_secret(path.resolve()).items()
        except UnreadableSecretError:
            return None
        return {"data": {key: b64encode(value.encode()).decode() for key, value in values}}

    async def list(
        self, kind: KubeKind, namespace: str | None = None, *, label_selector: str = ""
    ) -> list[Manifest]:
        """See `Kube.list`; equality selectors only."""
        wanted = dict(part.split("=", 1) for part in label_selector.split(",") if part)
        return [
            body
            for body in self.objects(kind, namespace)
            if wanted.items() <= (body["metadata"].get("labels") or {}).items()
        ]

    async def apply(self, kind: KubeKind, manifest: Manifest, *, force: bool) -> Manifest:
        """See `Kube.apply`; each top-level field is replaced as a whole."""
        return self.put(kind, manifest)

    async def apply_status(self, kind: KubeKind, manifest: Manifest) -> Manifest:
        """See `Kube.apply_status`."""
        return self.put_status(kind, manifest)

    async def scale(
        self, kind: KubeKind, namespace: str, name: str, replicas: int, *, version: str | None
    ) -> None:
        """See `Kube.scale`."""
        metadata = {"name": name, "namespace": namespace, "resourceVersion": version}
        with self._alone():
            known = self._existing(kind, {"metadata": metadata}, "patch")
            _fence(kind, known, {"metadata": metadata})
            self._store(kind, known, {**known, "spec": {**known["spec"], "replicas": replicas}})

    async def create(self, kind: KubeKind, manifest: Manifest) -> Manifest:
        """See `Kube.create`."""
        if kind is TOKEN_REVIEW:
            return self._review(manifest)
        return self.add(kind, manifest)

    async def replace(self, kind: KubeKind, manifest: Manifest) -> Manifest:
        """See `Kube.replace`."""
        with self._alone():
            known = self._existing(kind, manifest, "update")
            _fence(kind, known, manifest)
            return self._store(kind, known, {**manifest, "metadata": {**manifest["metadata"]}})

    async def delete(
        self, kind: KubeKind, namespace: str | None, name: str, *, uid: str | None = None
    ) -> bool:
        """See `Kube.delete`."""
        return self.remove(kind, namespace, name, uid=uid)

    def add(self, kind: KubeKind, manifest: Manifest) -> Manifest:
        """A new object; ApiError 409 when it exists."""
        with self._alone():
            if self.find(kind, *_named(manifest)) is not None:
                raise _refusal(kind, manifest, 409, "AlreadyExists", "create")
            return self._store(kind, None, manifest)

    def put(self, kind: KubeKind, manifest: Manifest) -> Manifest:
        """Make it, or replace the top-level fields that are given."""
        with self._alone():
            known = self.find(kind, *_named(manifest))
            _fence(kind, known, manifest)
            metadata = {**(known or {}).get("metadata", {}), **manifest["metadata"]}
            return self._store(kind, known, {**(known or {}), **manifest, "metadata": metadata})

    def put_status(self, kind: KubeKind, manifest: Manifest) -> Manifest:
        """Replace the status; ApiError 404 without the object, 409 when it is another version."""
        with self._alone():
            known = self._existing(kind, manifest, "patch")
            _fence(kind, known, manifest)
            return self._store(kind, known, {**known, "status": manifest.get("status", {})})

    def remove(
        self, kind: KubeKind, namespace: str | None, name: str, *, uid: str | None = None
    ) -> bool:
        """Remove it if the uid matches; False when it is not there."""
        with self._alone():
            known = self.find(kind, namespace, name)
            if known is None or uid not in (None, known["metadata"]["uid"]):
                return False
            self._path(kind, namespace, name).unlink()
            self._next_version()
            return True

    def issue_token(self, pod: Manifest, audience: str) -> str:
        """A secret that proves to be this pod, for one audience."""
        token = secrets.token_urlsafe(32)
        metadata = pod["metadata"]
        about = {"audience": audience, "namespace": metadata["namespace"],
                 "name": metadata["name"], "uid": metadata["uid"]}  # fmt: skip
        write_whole(self._folders.pods / metadata["uid"] / "identity.json",
                    json.dumps({"token": token, **about}))  # fmt: skip
        return token

    def _review(self, review: Manifest) -> Manifest:
        token, audiences = review["spec"]["token"], review["spec"]["audiences"]
        for path in self._folders.pods.glob("*/identity.json"):
            known = _read(path) or {}
            if secrets.compare_digest(str(known.get("token", "")), token):
                return _reviewed(review, known, audiences)
        return {**review, "status": {"authenticated": False}}

    def _alone(self) -> AbstractContextManager[None]:
        return locked(self._folders.root / "objects.lock")

    def _path(self, kind: KubeKind, namespace: str | None, name: str) -> Path:
        return self._folders.objects / kind.kind / (namespace or "-") / f"{name}.json"

    def _existing(self, kind: KubeKind, manifest: Manifest, verb: str) -> Manifest:
        known = self.find(kind, *_named(manifest))
        if known is None:
            raise _refusal(kind, manifest, 404, "NotFound", verb)
        return known

    def _store(self, kind: KubeKind, known: Manifest | None, body: Manifest) -> Manifest:
        before = (known or {}).get("metadata", {})
        changed = known is None or known.get("spec") != body.get("spec")
        metadata = {
            **body["metadata"],
            "uid": before.get("uid") or str(uuid.uuid4()),
            "creationTimestamp": before.get("creationTimestamp") or format_time(datetime.now(UTC)),
            "generation": before.get("generation", 0) + changed,
            "resourceVersion": str(self._next_version()),
        }
        stored = {**body, "metadata": metadata}
        write_whole(self._path(kind, *_named(body)), json.dumps(stored))
        return stored

    def _next_version(self) -> int:
        version = self.version() + 1
        write_whole(self._folders.root / "version", str(version))
        return version


def _reviewed(review: Manifest, known: Manifest, audiences: list[str]) -> Manifest:
    extra = {f"authentication.kubernetes.io/pod-{part}": [known[part]] for part in ("name", "uid")}
    user = {"username": f"system:serviceaccount:{known['namespace']}:default", "extra": extra}
    good = [wanted for wanted in audiences if wanted == known["audience"]]
    return {**review, "status": {"authenticated": bool(good), "audiences": good, "user": user}}


def _named(body: Manifest) -> tuple[str | None, str]:
    return body["metadata"].get("namespace"), body["metadata"]["name"]


def _fence(kind: KubeKind, known: Manifest | None, manifest: Manifest) -> None:
    wanted = manifest["metadata"].get("resourceVersion")
    if wanted and (known is None or known["metadata"]["resourceVersion"] != wanted):
        raise _refusal(kind, manifest, 409, "Conflict", "patch")


def _refusal(kind: KubeKind, body: Manifest, status: int, reason: str, verb: str) -> ApiError:
    name = body["metadata"]["name"]
    return ApiError(
        status, reason, f"{kind.plural} {name!r}: {reason}", verb, f"{kind.plural}/{name}"
    )


def _read(path: Path) -> Manifest | None:
    try:
        body: Manifest = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return body
