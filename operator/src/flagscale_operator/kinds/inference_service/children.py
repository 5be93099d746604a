"""The child objects of an InferenceService, as requests to the API server."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flagscale_operator.controller.store import ObjectKey, ObjectStore
from flagscale_operator.errors import ApiError, FlagScaleError
from flagscale_operator.kinds.fingerprint import fingerprint
from flagscale_operator.kinds.inference_service.facts import ChildKey
from flagscale_operator.kinds.inference_service.view import ServiceView
from flagscale_operator.kinds.ownership import is_owned
from flagscale_operator.kinds.refusals import explain_refusal
from flagscale_operator.kube.client import Kube
from flagscale_operator.kube.kinds import RAY_SERVICE, KubeKind

Manifest = dict[str, Any]


@dataclass
class ChildRefusedError(FlagScaleError):
    """A child that can't be written now: its kind, its name and why."""

    kind: str
    name: str
    error: ApiError

    def explained(self) -> tuple[str | None, str]:
        """Condition reason and message, or None for what is worth retrying soon."""
        if self.error.not_found and self.kind == RAY_SERVICE.kind:
            return "DependencyMissing", (
                "the kind RayService (ray.io/v1) is not installed; install the KubeRay operator, "
                "this service then goes on by itself; or use spec.runtime pods in a service of "
                "another name"
            )
        return explain_refusal(self.error, kind=self.kind, child=self.name, owner="service")


class Children:
    """Applies and deletes; what was written is in the store at once."""

    def __init__(self, *, kube: Kube, stores: Mapping[KubeKind, ObjectStore]) -> None:
        self._kube = kube
        self._stores = stores
        self._answers: dict[ObjectKey, dict[ChildKey, str]] = {}

    def stored(self, service: ServiceView) -> dict[ChildKey, Manifest]:
        """All children that are this very service's."""
        owner = (service.namespace, service.name)
        return {
            (kind.kind, body["metadata"]["name"]): body
            for kind, store in self._stores.items()
            for body in store.owned_by(owner)
            if is_owned(body, service.uid)
        }

    def accepted(self, service: ServiceView) -> frozenset[ChildKey]:
        """Those that are as the API server answered when this process last applied them."""
        answers = self._answers.get((service.namespace, service.name), {})
        stored = self.stored(service).items()
        return frozenset(key for key, body in stored if answers.get(key) == _content(body))

    def forget(self, namespace: str, name: str) -> None:
        """Drop what is remembered of a service that is gone."""
        self._answers.pop((namespace, name), None)

    async def apply(self, service: ServiceView, kind: KubeKind, manifest: Manifest) -> None:
        """Server-side apply; raises ChildRefusedError, also when somebody else has the name.

        An object that no watch has brought is asked for first: apply would silently merge into
        whatever has that name. And it is applied rather than created, so that a field that is no
        longer wanted goes with a later apply.
        """
        name = manifest["metadata"]["name"]
        if (kind.kind, name) not in self.stored(service):
            found = await self._found(kind, service.namespace, name)
            if found and not is_owned(found, service.uid):
                taken = ApiError(409, "AlreadyExists", "not ours", "patch", kind.plural)
                raise ChildRefusedError(kind.kind, name, taken)
        try:
            applied = await self._kube.apply(kind, manifest, force=True)
        except ApiError as error:
            if error.conflict:
                raise  # somebody was faster; the news is on its way
            raise ChildRefusedError(kind.kind, name, error) from error
        self._stores[kind].upsert(applied)
        answers = self._answers.setdefault((service.namespace, service.name), {})
        answers[kind.kind, name] = _content(applied)

    async def _found(self, kind: KubeKind, namespace: str, name: str) -> Manifest | None:
        try:
            return await self._kube.get(kind, namespace, name)
        except ApiError as error:
            raise ChildRefusedError(kind.kind, name, error) from error

    async def replace(self, kind: KubeKind, manifest: Manifest) -> None:
        """Replace an object that a child of ours has made, fenced by its resourceVersion."""
        self._stores[kind].upsert(await self._kube.replace(kind, manifest))

    async def report(self, kind: KubeKind, manifest: Manifest) -> None:
        """Change the status of a child, fenced by its resourceVersion."""
        self._stores[kind].upsert(await self._kube.apply_status(kind, manifest))

    async def delete(self, service: ServiceView, child: ChildKey) -> None:
        """Delete a child that is not wanted any more."""
        kind = next(kind for kind in self._stores if kind.kind == child[0])
        body = self.stored(service)[child]
        await self._kube.delete(kind, service.namespace, child[1], uid=body["metadata"]["uid"])
        self._stores[kind].remove(body)


def _content(body: Manifest) -> str:
    return fingerprint({"labels": body["metadata"].get("labels"), "spec": body.get("spec")})
