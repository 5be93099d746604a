"""What to do for a source, and what to tell of it. Pure, empty when nothing has changed."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from flagscale_api import keys
from flagscale_api.v1alpha1.agent_tool_source import (
    AgentToolSourceStatus,
    RemovedTool,
    SkippedTool,
)
from flagscale_operator.kinds.agent_tool_source.render import Rendered, skip
from flagscale_operator.kinds.agent_tool_source.view import SourceView
from flagscale_operator.kinds.conditions import Verdict, find_condition, update_conditions
from flagscale_operator.kinds.fingerprint import still_says
from flagscale_operator.outside.remote_tools import Listing

Manifest = dict[str, Any]
SKIPPED_SHOWN: Final = 16
REMEMBERED: Final = 256
SERVER_CHARACTERS: Final = 128


@dataclass(frozen=True, slots=True)
class SourcePlan:
    """Writes, in any order."""

    apply: tuple[Manifest, ...]
    delete: tuple[str, ...]
    skipped: tuple[SkippedTool, ...]
    tools: int
    """AgentTools that there are once it is done."""
    removed: tuple[RemovedTool, ...] = ()
    """Those to delete that were held to something."""


def plan(
    rendered: Rendered, stored: Mapping[str, Manifest], foreign: Collection[str]
) -> SourcePlan:
    """`stored` are the source's own AgentTools, `foreign` names that others have."""
    taken = [name for name in rendered.tools if name in foreign]
    ours = {name: made for name, made in rendered.tools.items() if name not in foreign}
    told = "AgentTool {} exists and is not of this source; delete it"
    conflicts = [skip(rendered.tools[n]["spec"]["name"], told.format(n)) for n in taken]
    return SourcePlan(
        apply=tuple(m for name, m in ours.items() if not _is_current(stored.get(name), m)),
        delete=tuple(sorted(set(stored) - set(ours))),
        skipped=(*rendered.skipped, *conflicts),
        tools=len(ours),
        removed=tuple(
            RemovedTool(name=name, pinned_digest=digest)
            for name in sorted(set(stored) - set(ours))
            if (digest := (stored[name].get("status") or {}).get("pinnedDigest"))
        ),
    )


def _is_current(stored: Manifest | None, wanted: Manifest) -> bool:
    if stored is None:
        return False
    annotation = (stored["metadata"].get("annotations") or {}).get(keys.SPEC_HASH_ANNOTATION)
    return annotation == wanted["metadata"]["annotations"][keys.SPEC_HASH_ANNOTATION] and (
        still_says(stored.get("spec"), wanted["spec"])
    )


def synced_status(
    source: SourceView, listing: Listing, done: SourcePlan, now: datetime
) -> AgentToolSourceStatus:
    """After the AgentTools were brought in line with a listing."""
    verdicts = [Verdict("Ready", "True", "Synced", f"{done.tools} tools"), _degraded(done)]
    server = "".join(c if c.isprintable() else "?" for c in listing.server[:SERVER_CHARACTERS])
    return AgentToolSourceStatus(
        observed_generation=source.generation,
        conditions=update_conditions(
            source.status.conditions, verdicts, generation=source.generation, now=now
        ),
        server=server or None,
        tools=done.tools,
        skipped=list(done.skipped[:SKIPPED_SHOWN]),
        removed=_remembered(source.status.removed, done.removed),
    )


def _remembered(before: list[RemovedTool], now: tuple[RemovedTool, ...]) -> list[RemovedTool]:
    """Each name once, as it was removed last."""
    known = {one.name: one for one in before}
    for one in now:
        known.pop(one.name, None)
        known[one.name] = one
    return list(known.values())[-REMEMBERED:]


def _degraded(done: SourcePlan) -> Verdict:
    if not done.skipped:
        return Verdict("Degraded", "False", "AllTaken")
    first = done.skipped[0]
    told = f"{len(done.skipped)} of its tools are left out; {first.name}: {first.message}"
    return Verdict("Degraded", "True", "ToolsSkipped", told)


def blocked_status(
    before: AgentToolSourceStatus, generation: int, *, reason: str, message: str, now: datetime
) -> AgentToolSourceStatus:
    """There is no list, or no usable spec; the AgentTools of the last list stay."""
    verdicts = [Verdict("Ready", "False", reason, message)]
    degraded = find_condition(before.conditions, "Degraded")
    if degraded:
        verdicts.append(Verdict("Degraded", degraded.status, degraded.reason, degraded.message))
    return before.model_copy(
        update={
            "observed_generation": generation,
            "conditions": update_conditions(
                before.conditions, verdicts, generation=generation, now=now
            ),
        }
    )
