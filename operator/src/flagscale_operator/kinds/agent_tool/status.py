"""What the user reads of a tool. Pure, equal when nothing changed."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from flagscale_api.v1alpha1.agent_tool_status import AgentToolStatus
from flagscale_operator.kinds.agent_tool.digest import schema_digest
from flagscale_operator.kinds.agent_tool.parameters import fault_in
from flagscale_operator.kinds.agent_tool.view import ToolView
from flagscale_operator.kinds.conditions import (
    ConditionStatus,
    Verdict,
    find_condition,
    update_conditions,
)
from flagscale_operator.outside.matcher_index import Indexed
from flagscale_operator.outside.probe import Probe

_UNKNOWN: Final = Indexed(replicas=0, having=0)


@dataclass(frozen=True, slots=True)
class ToolFacts:
    """What is known of a tool beyond its spec."""

    rival: str | None = None
    """An older AgentTool that agents know by the same name."""
    earlier_pin: str | None = None
    """What the source remembers of a tool of this name that it had before."""
    needs_probe: bool = False
    probe: Probe | None = None
    """None: not looked at since the operator started."""
    has_matcher: bool = True
    """Whether a matcher is installed at all."""
    indexed: Indexed = _UNKNOWN


def tool_status(tool: ToolView, facts: ToolFacts, now: datetime) -> AgentToolStatus:
    """The status of a tool whose spec can be read."""
    fault = fault_in(tool.spec.parameters)
    digest = None if fault else schema_digest(tool.spec, tool.called)
    accepted = _accepted(tool, facts, fault)
    pinned = _pinned(tool, digest, facts.earlier_pin)
    verdicts = [
        accepted,
        _drifted(tool, digest, pinned),
        _reachable(tool, facts),
        _indexed(tool, facts, accepted),
    ]
    verdicts = [_ready(verdicts), *verdicts]
    return AgentToolStatus(
        observed_generation=tool.generation,
        conditions=update_conditions(
            tool.status.conditions, verdicts, generation=tool.generation, now=now
        ),
        kind=tool.spec.kind,
        server=tool.spec.effective_server or None,
        schema_digest=digest,
        pinned_digest=pinned,
    )


def invalid_status(
    before: AgentToolStatus, *, generation: int, message: str, now: datetime
) -> AgentToolStatus:
    """The status of a tool whose spec can't be read; what it was held to stays known."""
    told = [Verdict("Accepted", "False", "InvalidSpec", message)]
    verdicts = [Verdict("Ready", "False", "InvalidSpec", message), *told]
    return before.model_copy(
        update={
            "observed_generation": generation,
            "conditions": update_conditions(
                before.conditions, verdicts, generation=generation, now=now
            ),
        }
    )


def _pinned(tool: ToolView, digest: str | None, earlier: str | None) -> str | None:
    """What a tool of a source is held to: as it was first, or as it was approved last."""
    known = tool.status.pinned_digest or (earlier if tool.sourced else None)
    approved = digest is not None and tool.spec.approved_schema_digest == digest
    return digest if tool.sourced and (known is None or approved) else known


def _accepted(tool: ToolView, facts: ToolFacts, fault: str | None) -> Verdict:
    if fault:
        return Verdict("Accepted", "False", "InvalidParameters", fault)
    if facts.rival:
        told = (
            f"spec.name: AgentTool {facts.rival} is older and has the name {tool.called} on "
            f"server {tool.spec.effective_server or '(none)'}; say another name or server"
        )
        return Verdict("Accepted", "False", "DuplicateName", told)
    return Verdict("Accepted", "True", "Accepted")


def _drifted(tool: ToolView, digest: str | None, pinned: str | None) -> Verdict:
    if digest is None:
        return Verdict("SchemaDrifted", "Unknown", "NotAccepted", "its schema can't be read")
    approved = tool.spec.approved_schema_digest
    held_to = approved or (pinned if tool.sourced else None)
    if held_to is None:
        return Verdict("SchemaDrifted", "False", "NotPinned")
    if held_to == digest:
        return Verdict("SchemaDrifted", "False", "Approved" if approved else "Unchanged")
    told = (
        f"name, description, parameters or endpoint are not those that were "
        f"{'approved' if approved else 'seen first'} ({held_to[:19]}); calls are blocked. Review "
        f"the tool, then set spec.approvedSchemaDigest to {digest}"
    )
    return Verdict("SchemaDrifted", "True", "Changed", told)


def _reachable(tool: ToolView, facts: ToolFacts) -> Verdict:
    if not facts.needs_probe:
        return Verdict("Reachable", "True", "NotNeeded", "the agent runs it itself")
    if facts.probe is None:
        return _as_before(tool, "Reachable", "NotProbed", "its endpoint was not looked at yet")
    status: ConditionStatus = "True" if facts.probe.answers else "False"
    return Verdict("Reachable", status, facts.probe.reason, facts.probe.message)


def _indexed(tool: ToolView, facts: ToolFacts, accepted: Verdict) -> Verdict:
    seen = facts.indexed
    if accepted.status == "False":
        return Verdict("Indexed", "False", "NotAccepted", "the matcher leaves it out")
    if not facts.has_matcher:
        told = "no matcher is installed; install the chart with matcher.enabled=true"
        return Verdict("Indexed", "False", "NoMatcher", told)
    if seen.away:
        told = "no matcher answers; see the Deployment flagscale-matcher and the operator's log"
        return Verdict("Indexed", "Unknown", "MatcherAway", told)
    if not seen.replicas:
        return _as_before(tool, "Indexed", "NotIndexed", "no matcher was asked yet")
    if seen.refusing:
        told = f"matcher {seen.refusing[0]} can't take it; its log tells why"
        return Verdict("Indexed", "False", "Refused", told)
    if seen.having < seen.replicas:
        told = f"generation {tool.generation} is not in every matcher's index yet"
        return Verdict("Indexed", "False", "NotIndexed", told)
    return Verdict("Indexed", "True", "Indexed", f"every matcher has generation {tool.generation}")


def _as_before(tool: ToolView, type_: str, reason: str, message: str) -> Verdict:
    """Nothing new is known, as after a restart: what was said of this generation stays."""
    before = find_condition(tool.status.conditions, type_)
    if before and before.observed_generation == tool.generation:
        return Verdict(type_, before.status, before.reason, before.message)
    return Verdict(type_, "Unknown", reason, message)


def _ready(verdicts: list[Verdict]) -> Verdict:
    accepted, drifted, reachable, indexed = verdicts
    if accepted.status != "True":
        return Verdict("Ready", "False", accepted.reason, accepted.message)
    if drifted.status == "True":
        return Verdict("Ready", "False", "SchemaDrifted", drifted.message)
    for one in (reachable, indexed):
        if one.status != "True":
            return Verdict("Ready", one.status, one.reason, one.message)
    return Verdict("Ready", "True", "Ready", "agents find it and may call it")
