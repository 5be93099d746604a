"""The shell around the pure status of a tool: read the view, write what changed."""

from collections.abc import Callable
from datetime import datetime
from typing import Final, Protocol

from flagscale_api import keys
from flagscale_api.v1alpha1.agent_tool_status import AgentToolStatus
from flagscale_operator.controller.queue import Key
from flagscale_operator.controller.store import Manifest
from flagscale_operator.controller.view import ClusterView, tool_name
from flagscale_operator.errors import InvalidSpecError
from flagscale_operator.kinds.agent_tool.status import ToolFacts, invalid_status, tool_status
from flagscale_operator.kinds.agent_tool.view import (
    ToolView,
    age_rank,
    own_status,
    parse_agent_tool,
    target_of,
)
from flagscale_operator.kinds.conditions import find_condition
from flagscale_operator.kinds.reporting import Recorder, Reporter
from flagscale_operator.kube.client import Kube
from flagscale_operator.kube.kinds import AGENT_TOOL
from flagscale_operator.outside.matcher_index import Indexed
from flagscale_operator.outside.probe import Probe, Target

RIVAL_S: Final = 30.0
"""How soon a tool whose name was taken looks again."""
STATUS_PACE_S: Final = 0.5
"""Least time between two statuses of a tool: what changes many times a second is told of as it is
then, or the API server would be busier with what is said of changes than with changes."""
_SILENT: Final = ("NotProbed", "NotIndexed")


class Probes(Protocol):
    """The newest looks at endpoints."""

    def newest(self, who: Key, question: Target) -> Probe | None:
        """Of one endpoint; None: none yet, `who` is woken by the first."""

    def forget(self, who: Key) -> None:
        """`who` needs no more looks."""


class Indexes(Protocol):
    """What the matchers have."""

    @property
    def url(self) -> str:
        """Where they are; empty: there are none."""

    def of(self, uid: str, generation: int) -> Indexed:
        """How far a tool has come."""


class AgentToolReconciler:
    """Tells of one AgentTool at a time what is known of it."""

    def __init__(
        self,
        *,
        kube: Kube,
        view: ClusterView,
        probes: Probes,
        indexes: Indexes,
        events: Recorder,
        clock: Callable[[], datetime],
    ) -> None:
        self._view = view
        self._probes = probes
        self._indexes = indexes
        self._clock = clock
        self._told_at: dict[Key, datetime] = {}
        self._reporter = Reporter(
            kind=AGENT_TOOL,
            kube=kube,
            store=view.agent_tools,
            events=events,
            good_reasons=(),
            silent_reasons=_SILENT,
        )

    async def reconcile(self, key: Key) -> float | None:
        """One pass; the seconds after which to look again although nothing has changed."""
        body = self._view.agent_tools.get((key.namespace, key.name))
        if body is None or "deletionTimestamp" in body["metadata"]:
            self._probes.forget(key)
            self._told_at.pop(key, None)
            return None
        before = own_status(body)
        try:
            tool = parse_agent_tool(body)
        except InvalidSpecError as error:
            self._probes.forget(key)
            generation = body["metadata"].get("generation", 1)
            told = {"generation": generation, "message": str(error), "now": self._clock()}
            return await self._tell(key, body, before, invalid_status(before, **told))
        status = tool_status(tool, self._facts(key, body, tool), self._clock())
        early_s = await self._tell(key, body, before, status)
        if early_s is not None:
            return early_s
        accepted = find_condition(status.conditions, "Accepted")
        return RIVAL_S if accepted and accepted.reason == "DuplicateName" else None

    def _facts(self, key: Key, body: Manifest, tool: ToolView) -> ToolFacts:
        target = target_of(tool.spec)
        if target is None:
            self._probes.forget(key)
        same = self._view.agent_tools.owned_by((key.namespace, tool_name(body)))
        oldest = min(same, key=age_rank, default=body)["metadata"]["name"]
        return ToolFacts(
            rival=oldest if oldest != tool.name else None,
            earlier_pin=self._earlier_pin(body, tool),
            needs_probe=target is not None,
            probe=self._probes.newest(key, target) if target else None,
            has_matcher=bool(self._indexes.url),
            indexed=self._indexes.of(tool.uid, tool.generation),
        )

    def _earlier_pin(self, body: Manifest, tool: ToolView) -> str | None:
        name = (body["metadata"].get("labels") or {}).get(keys.TOOL_SOURCE_LABEL, "")
        source = self._view.tool_sources.get((tool.namespace, name)) or {}
        removed = (source.get("status") or {}).get("removed") or ()
        return next((one["pinnedDigest"] for one in removed if one["name"] == tool.name), None)

    async def _tell(
        self, key: Key, body: Manifest, before: AgentToolStatus, status: AgentToolStatus
    ) -> float | None:
        """Write what is new; or the seconds until its turn comes."""
        if status == before:
            return None
        now = self._clock()
        last = self._told_at.get(key)
        passed_s = (now - last).total_seconds() if last else STATUS_PACE_S
        # A clock that was set back must not silence a tool.
        if 0 <= passed_s < STATUS_PACE_S:
            return STATUS_PACE_S - passed_s
        self._told_at[key] = now
        await self._reporter.write(body, status)
        await self._reporter.tell(body, before.conditions, status.conditions)
        return None
