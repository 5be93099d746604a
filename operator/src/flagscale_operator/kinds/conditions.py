"""metav1 conditions: set, carry over, compare."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from flagscale_api.meta import Condition
from flagscale_operator.kinds.clock import format_time

ConditionStatus = Literal["True", "False", "Unknown"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a condition should say now."""

    type: str
    status: ConditionStatus
    reason: str
    message: str = ""


def update_conditions(
    previous: Sequence[Condition], verdicts: Sequence[Verdict], *, generation: int, now: datetime
) -> list[Condition]:
    """The new list: lastTransitionTime moves only where status flips, so equal stays equal."""
    before = {c.type: c for c in previous}
    return [_update(before.get(v.type), v, generation=generation, now=now) for v in verdicts]


def _update(
    before: Condition | None, verdict: Verdict, *, generation: int, now: datetime
) -> Condition:
    flipped = before is None or before.status != verdict.status
    return Condition(
        type=verdict.type,
        status=verdict.status,
        observed_generation=generation,
        last_transition_time=(
            format_time(now) if before is None or flipped else before.last_transition_time
        ),
        reason=verdict.reason,
        message=verdict.message[:2048],
    )


def changed_conditions(
    previous: Sequence[Condition], current: Sequence[Condition]
) -> tuple[Condition, ...]:
    """Conditions whose status or reason is new: each is worth one Event."""
    before = {c.type: (c.status, c.reason) for c in previous}
    return tuple(c for c in current if before.get(c.type) != (c.status, c.reason))


def find_condition(conditions: Sequence[Condition], type_: str) -> Condition | None:
    """The condition of a type, if it was ever set."""
    return next((c for c in conditions if c.type == type_), None)
