"""How often and when a gang is restarted: one budget per cause, with exponential back-off."""

from dataclasses import dataclass
from typing import Final

from flagscale_api.v1alpha1.train_job import FailurePolicy
from flagscale_api.v1alpha1.train_job_status import Cause, RestartCounts

BUDGET_OF_CAUSE: Final[dict[Cause, str]] = {
    "UserError": "user_error",
    "OutOfMemory": "out_of_memory",
    "Killed": "killed",
    "Unknown": "killed",
    "Hang": "hang",
    "NodeLost": "node_lost",
    "PeerLost": "peer_lost",
}
UNCOUNTED: Final[frozenset[Cause]] = frozenset({"Preempted"})
MAX_BACKOFF_S: Final = 300


@dataclass(frozen=True, slots=True)
class RestartDecision:
    """Whether the gang runs again, after what delay, and what has then been used up."""

    restart: bool
    delay_s: float
    counts: RestartCounts
    explanation: str


def decide_restart(
    cause: Cause, policy: FailurePolicy, *, counts: RestartCounts, restarts: int
) -> RestartDecision:
    """Spend one restart of the cause's budget, or say why there is none left.

    Causes without a budget (bad data, bad specification, unreadable checkpoint, deadline) would
    fail again the same way, so they are never restarted. The delay is `backoffSeconds` times two
    to the number of restarts so far, at most 5 minutes (or `backoffSeconds` if that is more).
    """
    delay_s = min(
        policy.backoff_seconds * 2.0 ** min(restarts, 32),
        max(MAX_BACKOFF_S, policy.backoff_seconds),
    )
    if cause in UNCOUNTED:
        return RestartDecision(
            restart=True, delay_s=delay_s, counts=counts, explanation="preemption is not counted"
        )
    field = BUDGET_OF_CAUSE.get(cause)
    if field is None:
        return RestartDecision(
            restart=False, delay_s=0, counts=counts, explanation=f"{cause} is not restarted"
        )
    used, budget = getattr(counts, field), getattr(policy.restart_budgets, field)
    name = RestartCounts.model_fields[field].alias or field
    if used >= budget:
        spent = f"spec.failurePolicy.restartBudgets.{name} is spent ({used} of {budget})"
        return RestartDecision(restart=False, delay_s=0, counts=counts, explanation=spent)
    spent_counts = counts.model_copy(update={field: used + 1})
    return RestartDecision(
        restart=True,
        delay_s=delay_s,
        counts=spent_counts,
        explanation=f"restart {used + 1} of {budget} ({name})",
    )
