"""Events on objects: the story of a run in `kubectl describe`, told once and counted after."""

import hashlib
import logging
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from flagscale_operator.errors import FlagScaleError
from flagscale_operator.kube.client import Kube, Manifest
from flagscale_operator.kube.kinds import EVENT

_log = logging.getLogger(__name__)
MESSAGE_LIMIT = 1024
NAME_LIMIT = 253
REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class _Posted:
    """An Event that stands in the cluster."""

    name: str
    first_at: str
    count: int


class EventRecorder:
    """Posts Events; the same words about the same object become a higher count of one Event."""

    def __init__(
        self,
        kube: Kube,
        *,
        component: str,
        instance: str,
        clock: Callable[[], datetime],
        on_failure: Callable[[], None],
        capacity: int = REMEMBERED,
    ) -> None:
        self._kube = kube
        self._component = component
        self._instance = instance
        self._clock = clock
        self._on_failure = on_failure
        self._capacity = capacity
        self._posted: OrderedDict[str, _Posted] = OrderedDict()
        # A restarted operator must not run into the names of its predecessor.
        self._run = uuid.uuid4().hex[:8]

    async def post(self, body: Manifest, type_: str, reason: str, message: str) -> None:
        """Tell `message` about an object (`Normal` or `Warning`); failures are only logged."""
        metadata = body["metadata"]
        words = "\n".join((metadata.get("uid", ""), type_, reason, message))
        digest = hashlib.sha256(words.encode()).hexdigest()[:16]
        known = self._posted.pop(digest, None)
        now = self._clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        suffix = f".{self._run}{digest}"
        fresh = _Posted(metadata["name"][: NAME_LIMIT - len(suffix)] + suffix, now, 1)
        event = replace(known, count=known.count + 1) if known else fresh
        self._remember(digest, event)
        manifest = self._manifest(body, event, now)
        manifest |= {"type": type_, "reason": reason, "message": _shortened(message)}
        try:
            if known is None:
                await self._kube.create(EVENT, manifest)
            else:
                await self._kube.apply(EVENT, manifest, force=True)
        except FlagScaleError as error:
            # A new Event that did not arrive must not be counted up as if it had.
            if known is None:
                self._posted.pop(digest, None)
            self._on_failure()
            _log.warning("Event %s on %s was not posted: %s", reason, metadata["name"], error)

    def _remember(self, digest: str, event: _Posted) -> None:
        self._posted[digest] = event
        while len(self._posted) > self._capacity:
            self._posted.popitem(last=False)

    def _manifest(self, body: Manifest, event: _Posted, now: str) -> dict[str, Any]:
        metadata = body["metadata"]
        namespace = metadata.get("namespace") or "default"
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": event.name, "namespace": namespace},
            "involvedObject": {
                "apiVersion": body["apiVersion"],
                "kind": body["kind"],
                "namespace": metadata.get("namespace", ""),
                "name": metadata["name"],
                "uid": metadata.get("uid", ""),
                "resourceVersion": metadata.get("resourceVersion", ""),
            },
            "firstTimestamp": event.first_at,
            "lastTimestamp": now,
            "count": event.count,
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "reportingInstance": self._instance,
        }


def _shortened(message: str) -> str:
    return message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - 1] + "…"
