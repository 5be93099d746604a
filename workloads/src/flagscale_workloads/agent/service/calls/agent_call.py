"""A call of an agent: its arguments are a task that is handed over by A2A."""

from collections.abc import Mapping
from typing import Any

from flagscale_workloads.agent.collaboration.a2a import outcome as a2a
from flagscale_workloads.agent.collaboration.a2a.client import hand_off
from flagscale_workloads.agent.collaboration.a2a.transport import GuardedTransport
from flagscale_workloads.agent.collaboration.errors import CollaborationError, ForbiddenAgentError
from flagscale_workloads.agent.collaboration.values import AgentInfo
from flagscale_workloads.agent.service.errors import ServiceError
from flagscale_workloads.agent.service.outcome import Outcome


async def call_agent(
    url: str,
    name: str,
    arguments: Mapping[str, Any],
    *,
    headers: Mapping[str, str],
    transport: GuardedTransport,
    timeout_s: float,
) -> Outcome:
    """What came of the task. Raises ServiceError."""
    last = a2a.Outcome("unknown")
    how = a2a.HandOff(timeout_s=timeout_s)
    info = AgentInfo(name, url=url)
    try:
        async for outcome in hand_off(
            info, task_of(arguments), how, transport=transport, headers=headers
        ):
            last = outcome
    except ForbiddenAgentError as error:
        raise ServiceError(403, "forbidden_address", f"tool: {error}") from error
    except CollaborationError as error:
        raise ServiceError(502, "tool_failed", f"tool: {error}", retryable=True) from error
    return Outcome(
        is_error=last.state != "completed",
        text=last.text or last.reason,
        structured={
            "state": last.state,
            "task_id": last.task_id,
            "context_id": last.context_id,
            "data": list(last.data),
        },
    )


def task_of(arguments: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
    """A single text argument is the text of the task; anything else goes as data."""
    values = list(arguments.values())
    if len(values) == 1 and isinstance(values[0], str):
        return values[0]
    return dict(arguments)
