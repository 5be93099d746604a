"""What the operator needs of the Kubernetes API: a handful of verbs, as a protocol."""

from typing import Any, Protocol

from flagscale_operator.kube.kinds import KubeKind

Manifest = dict[str, Any]


class Kube(Protocol):
    """Asynchronous Kubernetes API, writing under one field manager.

    Every method raises `ApiError` when the server refuses and `TransientError` when it can't be
    reached, answers 5xx, or asks to slow down (429, with its Retry-After).
    """

    async def get(self, kind: KubeKind, namespace: str | None, name: str) -> Manifest | None:
        """The object, or None when it does not exist (but 404 of the kind raises `ApiError`)."""

    async def list(
        self, kind: KubeKind, namespace: str | None = None, *, label_selector: str = ""
    ) -> list[Manifest]:
        """All objects of a namespace, or of all namespaces."""

    async def apply(self, kind: KubeKind, manifest: Manifest, *, force: bool) -> Manifest:
        """Server-side apply under our field manager; without `force` a foreign field is a 409."""

    async def apply_status(self, kind: KubeKind, manifest: Manifest) -> Manifest:
        """Server-side apply of the status subresource; a resourceVersion in it is a fence."""

    async def scale(
        self, kind: KubeKind, namespace: str, name: str, replicas: int, *, version: str | None
    ) -> None:
        """Set the replicas of a scale subresource; 409 when the object is not of that version."""

    async def create(self, kind: KubeKind, manifest: Manifest) -> Manifest:
        """Create; 409 when it exists."""

    async def replace(self, kind: KubeKind, manifest: Manifest) -> Manifest:
        """Replace, fenced by metadata.resourceVersion."""

    async def delete(
        self, kind: KubeKind, namespace: str | None, name: str, *, uid: str | None = None
    ) -> bool:
        """Delete in the background, only if the uid matches; False when it was gone already."""
