"""The operator's view of the cluster: what the watches brought, newest version of each object.

Our own writes go in as well, so a reconcile never works on a state older than what it wrote. A
version that is older than the one at hand is dropped, since a watch may bring the past once more.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from typing import Any

Manifest = dict[str, Any]
ObjectKey = tuple[str, str]
OwnerName = Callable[[Mapping[str, Any]], str | None]
TOMBSTONES = 10_000
"""Deleted uids to remember, so that a late answer can't bring an object back."""


def object_key(body: Mapping[str, Any]) -> ObjectKey:
    """Namespace and name."""
    metadata = body["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def _version(body: Mapping[str, Any]) -> int:
    try:
        return int(body["metadata"].get("resourceVersion", 0))
    except ValueError:
        return 0


def trimmed(body: Mapping[str, Any]) -> Manifest:
    """A shallow copy without managedFields, the bulk of most objects."""
    metadata = {k: v for k, v in body["metadata"].items() if k != "managedFields"}
    return {**body, "metadata": metadata}


def label_of(label: str) -> OwnerName:
    """The owner is whom a label names."""

    def name(body: Mapping[str, Any]) -> str | None:
        found = (body["metadata"].get("labels") or {}).get(label)
        return str(found) if found else None

    return name


class ObjectStore:
    """Newest bodies of one kind, and which of them belong to which owner."""

    def __init__(self, *, owner_name: OwnerName | None = None) -> None:
        """`owner_name` tells whom an object belongs to or waits for; none: nobody."""
        self._owner_name = owner_name
        self._bodies: dict[ObjectKey, Manifest] = {}
        self._owned: defaultdict[ObjectKey, set[ObjectKey]] = defaultdict(set)
        self._deleted: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        """Number of objects."""
        return len(self._bodies)

    def upsert(self, body: Mapping[str, Any]) -> bool:
        """Keep this version if it is the newest; False when it is old news."""
        key = object_key(body)
        if body["metadata"].get("uid") in self._deleted:
            return False
        known = self._bodies.get(key)
        if known is not None and _version(body) < _version(known):
            return False
        if known is not None:
            self._disown(key, known)
        self._bodies[key] = trimmed(body)
        owner = self.owner_of(body)
        if owner:
            self._owned[owner].add(key)
        return True

    def remove(self, body: Mapping[str, Any]) -> None:
        """Forget an object that was deleted; a newer one of the same name stays."""
        key, uid = object_key(body), body["metadata"].get("uid", "")
        self._deleted[uid] = None
        if len(self._deleted) > TOMBSTONES:
            self._deleted.popitem(last=False)
        known = self._bodies.get(key)
        if known is None or known["metadata"].get("uid") != uid:
            return
        del self._bodies[key]
        self._disown(key, known)

    def get(self, key: ObjectKey) -> Manifest | None:
        """The newest body."""
        return self._bodies.get(key)

    def identities(self) -> list[ObjectKey]:
        """All objects."""
        return list(self._bodies)

    def owned_by(self, owner: ObjectKey) -> list[Manifest]:
        """Bodies that name this owner, in the owner's namespace."""
        return [self._bodies[key] for key in sorted(self._owned.get(owner, ()))]

    def owner_of(self, body: Mapping[str, Any]) -> ObjectKey | None:
        """The owner that an object names."""
        name = self._owner_name(body) if self._owner_name else None
        return (body["metadata"].get("namespace", ""), name) if name else None

    def _disown(self, key: ObjectKey, body: Mapping[str, Any]) -> None:
        owner = self.owner_of(body)
        if owner:
            self._owned[owner].discard(key)
            if not self._owned[owner]:
                del self._owned[owner]
