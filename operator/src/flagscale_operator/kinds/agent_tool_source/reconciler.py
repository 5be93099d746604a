"""The shell around the pure plan of a source: read the view, carry out the plan, tell."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final, Protocol

from flagscale_api.v1alpha1.agent_tool_source import AgentToolSourceStatus, SkippedTool
from flagscale_operator.controller.queue import Key
from flagscale_operator.controller.store import Manifest, object_key
from flagscale_operator.controller.view import ClusterView
from flagscale_operator.errors import ApiError, InvalidSpecError
from flagscale_operator.kinds.agent_tool_source.plan import (
    SourcePlan,
    blocked_status,
    plan,
    synced_status,
)
from flagscale_operator.kinds.agent_tool_source.render import Rendered, render_tools, skip
from flagscale_operator.kinds.agent_tool_source.view import (
    SourceView,
    offer_of,
    parse_agent_tool_source,
)
from flagscale_operator.kinds.ownership import is_controlled
from flagscale_operator.kinds.reporting import Recorder, Reporter
from flagscale_operator.kube.client import Kube
from flagscale_operator.kube.kinds import AGENT_TOOL, AGENT_TOOL_SOURCE
from flagscale_operator.outside.remote_tools import Listing
from flagscale_operator.outside.source_listing import Offer

REFUSED: Final = (400, 422)
AT_ONCE: Final = 16


class Listings(Protocol):
    """The newest lists of sources."""

    def newest(self, who: Key, question: Offer) -> Listing | None:
        """Of one source; None: none yet, `who` is woken by the first."""

    def forget(self, who: Key) -> None:
        """`who` needs no more lists."""


class AgentToolSourceReconciler:
    """Keeps the AgentTools of one source at a time as its server tells."""

    def __init__(
        self,
        *,
        kube: Kube,
        view: ClusterView,
        listings: Listings,
        events: Recorder,
        clock: Callable[[], datetime],
    ) -> None:
        self._kube = kube
        self._view = view
        self._listings = listings
        self._clock = clock
        self._rendered: dict[Key, tuple[tuple[str, int], Listing, Rendered]] = {}
        self._reporter = Reporter(
            kind=AGENT_TOOL_SOURCE,
            kube=kube,
            store=view.tool_sources,
            events=events,
            good_reasons=(),
            silent_reasons=(),
        )

    async def reconcile(self, key: Key) -> float | None:
        """One pass; it is woken by news of the server, so it never asks to be run again."""
        body = self._view.tool_sources.get((key.namespace, key.name))
        if body is None or "deletionTimestamp" in body["metadata"]:
            self._forget(key)
            return None
        try:
            source = parse_agent_tool_source(body)
        except InvalidSpecError as error:
            self._forget(key)
            await self._block(body, "InvalidSpec", str(error))
            return None
        listing = self._listings.newest(key, offer_of(source))
        if listing is None:
            # What was told before a restart holds until the server has been asked again.
            return None
        if listing.failed:
            await self._block(body, listing.reason, listing.message)
            return None
        rendered = await self._render(key, source, listing)
        done = await self._apply(self._plan(source, rendered))
        status = synced_status(source, listing, done, self._clock())
        await self._write(body, source.status, status)
        # After the status, which remembers what they were held to.
        await self._delete(source, done)
        return None

    async def _render(self, key: Key, source: SourceView, listing: Listing) -> Rendered:
        """Once for a listing: checking a thousand schemas takes most of a second."""
        known = self._rendered.get(key)
        if known and known[0] == (source.uid, source.generation) and known[1] is listing:
            return known[2]
        rendered = await asyncio.to_thread(render_tools, source, listing)
        self._rendered[key] = ((source.uid, source.generation), listing, rendered)
        return rendered

    def _plan(self, source: SourceView, rendered: Rendered) -> SourcePlan:
        foreign = set()
        for name in rendered.tools:
            found = self._view.agent_tools.get((source.namespace, name))
            if found and not is_controlled(found, source.uid):
                foreign.add(name)
        return plan(rendered, self._stored(source), foreign)

    def _stored(self, source: SourceView) -> dict[str, Manifest]:
        """AgentTools of this very source, not of an earlier one of its name."""
        named = self._view.sourced_tools.owned_by((source.namespace, source.name))
        # Their status is written to the other store first.
        newest = [self._view.agent_tools.get(object_key(body)) or body for body in named]
        return {b["metadata"]["name"]: b for b in newest if is_controlled(b, source.uid)}

    async def _apply(self, planned: SourcePlan) -> SourcePlan:
        """What was done: an AgentTool that the API server refuses is left out, and told."""
        refused: list[SkippedTool] = []
        for start in range(0, len(planned.apply), AT_ONCE):
            batch = planned.apply[start : start + AT_ONCE]
            done = await asyncio.gather(*map(self._apply_one, batch), return_exceptions=True)
            for one in done:
                if isinstance(one, BaseException):
                    raise one
                if one is not None:
                    refused.append(one)
        return replace(
            planned,
            skipped=(*planned.skipped, *refused),
            tools=planned.tools - len(refused),
        )

    async def _apply_one(self, manifest: Manifest) -> SkippedTool | None:
        try:
            applied = await self._kube.apply(AGENT_TOOL, manifest, force=True)
        except ApiError as error:
            if error.status not in REFUSED:
                raise
            return skip(manifest["spec"]["name"], error.message)
        self._view.keep(AGENT_TOOL, applied)
        return None

    async def _delete(self, source: SourceView, planned: SourcePlan) -> None:
        stored = self._stored(source)
        for name in planned.delete:
            body = stored[name]
            uid = body["metadata"]["uid"]
            await self._kube.delete(AGENT_TOOL, source.namespace, name, uid=uid)
            self._view.drop(AGENT_TOOL, body)

    def _forget(self, key: Key) -> None:
        self._listings.forget(key)
        self._rendered.pop(key, None)

    async def _block(self, body: Manifest, reason: str, message: str) -> None:
        before = AgentToolSourceStatus.model_validate(body.get("status") or {})
        generation = body["metadata"].get("generation", 1)
        status = blocked_status(
            before, generation, reason=reason, message=message, now=self._clock()
        )
        await self._write(body, before, status)

    async def _write(
        self, body: Manifest, before: AgentToolSourceStatus, status: AgentToolSourceStatus
    ) -> None:
        if status != before:
            await self._reporter.write(body, status)
            await self._reporter.tell(body, before.conditions, status.conditions)
