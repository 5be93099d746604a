"""A resource's state in two sentences: what it is, and what to do (pure)."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from flagscale_runner.base import Manifest, Surroundings
from flagscale_runner.explain.facts import Facts, facts_of
from flagscale_runner.explain.rules import OPERATOR_PATIENCE_S, PROBLEMS, Problem

_FINE: Final = ("Running", "Succeeded", "Ready", "Idle", "Suspended", "Suspending")
_GOES_ON: Final = ("Starting", "Loading", "Downloading", "Pending", "Restarting", "")
EVIDENCE_LIMIT: Final = 600


@dataclass(frozen=True, slots=True)
class Explanation:
    """What to tell the user."""

    about: str
    phase: str
    cause: str
    evidence: str
    step: str
    healthy: bool

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


def explained(
    body: Manifest,
    around: Surroundings,
    *,
    where: Literal["local", "cluster"],
    now: datetime | None = None,
) -> Explanation:
    """The first known problem that its status, pods and events give away.

    One that runs as it should is healthy, whatever happened to it before.
    """
    facts = facts_of(body, around, now or datetime.now(UTC))
    about = f"{facts.kind.lower()}/{facts.name} in {facts.namespace}"
    if facts.phase in _FINE and facts.seen:
        return Explanation(about, facts.phase, "None", facts.message, _while_fine(facts), True)  # noqa: FBT003 - a field
    for problem in PROBLEMS:
        evidence = _silence(facts) if problem.name == "OperatorSilent" else problem.evidence(facts)
        if evidence is not None:
            step = _step(problem, facts, where)
            return Explanation(about, facts.phase, problem.name, _short(evidence), step, False)  # noqa: FBT003
    healthy = facts.phase in _GOES_ON
    step = "nothing: it goes on by itself" if healthy else f"see flagscale logs {facts.name}"
    return Explanation(about, facts.phase, "None" if healthy else "Unknown", facts.message, step,
                       healthy)  # fmt: skip


def _silence(facts: Facts) -> str | None:
    if facts.seen or facts.age_s < OPERATOR_PATIENCE_S:
        return None
    return f"nobody has reported on its present spec; it was made {facts.age_s:.0f} s ago"


def _step(problem: Problem, facts: Facts, where: str) -> str:
    step = problem.here if where == "local" and problem.here else problem.step
    return step.format(name=facts.name, namespace=facts.namespace)


def _short(text: str) -> str:
    """The end of a long text: an exception stands last."""
    return text if len(text) <= EVIDENCE_LIMIT else f"...{text[-EVIDENCE_LIMIT:]}"


def _while_fine(facts: Facts) -> str:
    return {
        "Succeeded": "its model is in status.artifact",
        "Suspended": f"flagscale resume {facts.name} goes on",
        "Suspending": "wait until its checkpoint is saved",
        "Idle": "the next request, or more replicas, start an engine",
    }.get(facts.phase, "nothing")
