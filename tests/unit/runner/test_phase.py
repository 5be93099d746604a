"""Tools have conditions and no phase; a runner tells of both alike."""

from typing import Any

import pytest

from flagscale_runner.base import is_settled, phase_of


def tool(status: str, reason: str, *, seen: int = 2) -> dict[str, Any]:
    ready = {"type": "Ready", "status": status, "reason": reason}
    told = {"observedGeneration": seen, "conditions": [ready]}
    return {"kind": "AgentTool", "metadata": {"generation": 2}, "status": told}


@pytest.mark.parametrize(
    ("body", "phase", "settled"),
    [
        (tool("True", "Ready"), "Ready", True),
        (tool("False", "DoesNotResolve"), "Failed", True),
        (tool("False", "NotIndexed"), "Pending", False),
        (tool("Unknown", "NotProbed"), "Pending", False),
        (tool("Unknown", "MatcherAway"), "Pending", False),
        (tool("True", "Ready", seen=1), "", False),
        ({"kind": "AgentToolSource", "metadata": {"generation": 1}}, "", False),
    ],
)
def test_a_tool_is_settled_once_it_is_known_to_be_ready_or_not(
    body: dict[str, Any],
    phase: str,
    settled: bool,  # noqa: FBT001
) -> None:
    assert (phase_of(body), is_settled(body)) == (phase, settled)
