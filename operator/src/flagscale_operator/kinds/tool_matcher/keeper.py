"""The shell around the matcher's objects: they are as the installation says, or are put right.

They are not watched: the operator's own namespace need not be one of those that it watches. Each
look asks for a handful of objects by name, and writes only what differs.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from flagscale_api import keys
from flagscale_operator.controller.queue import Key
from flagscale_operator.errors import ApiError
from flagscale_operator.kinds.fingerprint import still_says
from flagscale_operator.kinds.refusals import explain_refusal
from flagscale_operator.kinds.reporting import Recorder
from flagscale_operator.kinds.tool_matcher.render import KEPT, Kept, Manifest, render_matcher
from flagscale_operator.kinds.tool_matcher.wanted import MatcherWanted
from flagscale_operator.kube.client import Kube
from flagscale_operator.kube.kinds import DEPLOYMENT, MATCHER_NAME, OPERATOR_NAME

_log = logging.getLogger(__name__)
TOOL_MATCHER: Final = "ToolMatcher"
LOOK_EVERY_S: Final = 10.0


def matcher_key(namespace: str) -> Key:
    """The only key of its kind."""
    return Key(TOOL_MATCHER, namespace, MATCHER_NAME)


def decide(
    desired: Mapping[Kept, Manifest], stored: Mapping[Kept, Manifest]
) -> tuple[list[Kept], list[Kept]]:
    """What to apply, and what of ours to delete; both empty when all is as it should be."""
    apply = [kept for kept, body in desired.items() if not still_says(stored.get(kept), body)]
    delete = [kept for kept, body in stored.items() if kept not in desired and _is_ours(body)]
    return apply, delete


def _is_ours(body: Manifest) -> bool:
    labels = body["metadata"].get("labels") or {}
    return bool(labels.get(keys.MANAGED_BY_LABEL) == keys.MANAGED_BY)


def _owner(operator: Manifest | None) -> Manifest | None:
    """The operator's Deployment, so that uninstalling takes the matcher along."""
    return operator and {
        "apiVersion": DEPLOYMENT.api_version,
        "kind": DEPLOYMENT.kind,
        "name": OPERATOR_NAME,
        "uid": operator["metadata"]["uid"],
    }


@dataclass(frozen=True, slots=True)
class MatcherKeeper:
    """Keeps the matcher; without one wanted, removes what an earlier setting has left."""

    kube: Kube
    events: Recorder
    wanted: MatcherWanted | None
    watch_namespaces: Sequence[str]

    async def reconcile(self, key: Key) -> float | None:
        """One pass; the seconds after which to look again."""
        stored = await self._stored(key.namespace)
        # None: the operator runs outside of the cluster.
        operator = await self.kube.get(DEPLOYMENT, key.namespace, OPERATOR_NAME)
        desired = self._desired(key.namespace, operator)
        apply, delete = decide(desired, stored)
        for kept in apply:
            _log.info("matcher: applying %s %s", kept[0].kind, kept[1])
            await self._apply(kept, desired[kept], operator)
        for kind, name in delete:
            _log.info("matcher: deleting %s %s", kind.kind, name)
            uid = stored[kind, name]["metadata"]["uid"]
            await self.kube.delete(kind, key.namespace, name, uid=uid)
        return LOOK_EVERY_S if self.wanted else None

    async def _apply(self, kept: Kept, body: Manifest, operator: Manifest | None) -> None:
        """Apply; a refusal is an Event on the operator's Deployment, whose pods tried."""
        kind, name = kept
        try:
            await self.kube.apply(kind, body, force=True)
        except ApiError as error:
            reason, message = explain_refusal(error, kind=kind.kind, child=name, owner="matcher")
            if reason and operator:
                await self.events.post(operator, "Warning", f"Matcher{reason}", message)
            raise

    def _desired(self, namespace: str, operator: Manifest | None) -> dict[Kept, Manifest]:
        if self.wanted is None:
            return {}
        return render_matcher(
            self.wanted,
            namespace=namespace,
            watch_namespaces=self.watch_namespaces,
            owner=_owner(operator),
        )

    async def _stored(self, namespace: str) -> dict[Kept, Manifest]:
        found = {(kind, name): await self.kube.get(kind, namespace, name) for kind, name in KEPT}
        return {kept: body for kept, body in found.items() if body is not None}
