"""Status and Events of one of our kinds, written only when there is news."""

from collections.abc import Collection, Sequence
from typing import Any, Protocol

from flagscale_api.meta import Condition, StatusModel
from flagscale_operator.controller.store import Manifest, ObjectStore
from flagscale_operator.kinds.conditions import changed_conditions
from flagscale_operator.kube.client import Kube
from flagscale_operator.kube.kinds import KubeKind


class Recorder(Protocol):
    """Posts Events; never raises."""

    async def post(self, body: Manifest, type_: str, reason: str, message: str) -> None:
        """One Event about an object."""


class Reporter:
    """Writes to the status subresource and tells what flipped."""

    def __init__(
        self,
        *,
        kind: KubeKind,
        kube: Kube,
        store: ObjectStore,
        events: Recorder,
        good_reasons: Collection[str],
        silent_reasons: Collection[str],
    ) -> None:
        """`good_reasons` are no warning though Ready is not True; silent ones are no news."""
        self._kind = kind
        self._kube = kube
        self._store = store
        self._events = events
        self._good = good_reasons
        self._silent = silent_reasons

    async def write(self, body: Manifest, status: StatusModel) -> None:
        """Write a status, fenced by the version that it was computed from."""
        metadata = body["metadata"]
        manifest: dict[str, Any] = {
            "apiVersion": self._kind.api_version,
            "kind": self._kind.kind,
            "metadata": {
                "name": metadata["name"],
                "namespace": metadata.get("namespace"),
                "resourceVersion": metadata.get("resourceVersion"),
            },
            "status": status.model_dump(by_alias=True, exclude_none=True),
        }
        self._store.upsert(await self._kube.apply_status(self._kind, manifest))

    async def tell(
        self, body: Manifest, before: Sequence[Condition], after: Sequence[Condition]
    ) -> None:
        """One Event per flip of the headline."""
        for condition in changed_conditions(before, after):
            if condition.type == "Ready" and condition.reason not in self._silent:
                good = condition.status == "True" or condition.reason in self._good
                type_ = "Normal" if good else "Warning"
                await self._events.post(body, type_, condition.reason, condition.message)
