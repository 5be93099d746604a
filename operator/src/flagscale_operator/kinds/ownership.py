"""Which objects are an owner's, and how they say so."""

from collections.abc import Mapping
from typing import Any

from flagscale_api import keys
from flagscale_operator.kube.kinds import KubeKind


def owner_reference(kind: KubeKind, name: str, uid: str) -> dict[str, Any]:
    """Makes garbage collection delete the child with its owner."""
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "name": name,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def is_owned(body: Mapping[str, Any], uid: str) -> bool:
    """Whether an object belongs to this owner, not to an earlier one of the same name."""
    labels: dict[str, Any] = body["metadata"].get("labels") or {}
    return labels.get(keys.OWNER_UID_LABEL) == uid


def is_controlled(body: Mapping[str, Any], uid: str) -> bool:
    """Whether an object is an owner's own, not one that a child of it has made."""
    references = body["metadata"].get("ownerReferences") or ()
    return any(r.get("uid") == uid and r.get("controller") for r in references)
