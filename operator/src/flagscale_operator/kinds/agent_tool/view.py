"""The words that decisions about an AgentTool are written in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flagscale_api.v1alpha1.agent_tool import AgentToolSpec
from flagscale_api.v1alpha1.agent_tool_status import AgentToolStatus
from flagscale_operator.kinds.spec import parse_spec
from flagscale_operator.kube.kinds import AGENT_TOOL_SOURCE
from flagscale_operator.outside.probe import Target


@dataclass(frozen=True, slots=True)
class ToolView:
    """An AgentTool with a valid spec, as the API server has it."""

    namespace: str
    name: str
    uid: str
    generation: int
    spec: AgentToolSpec
    status: AgentToolStatus
    sourced: bool
    """Whether a source made it, so that a server decides what it is."""

    @property
    def called(self) -> str:
        """Name that agents see."""
        return self.spec.effective_name(self.name)


def parse_agent_tool(body: dict[str, Any]) -> ToolView:
    """Raises InvalidSpecError."""
    metadata = body["metadata"]
    return ToolView(
        namespace=metadata.get("namespace", "default"),
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        generation=metadata.get("generation", 1),
        spec=parse_spec(AgentToolSpec, body),
        status=own_status(body),
        sourced=any(
            one.get("controller") and one.get("kind") == AGENT_TOOL_SOURCE.kind
            for one in metadata.get("ownerReferences") or ()
        ),
    )


def own_status(body: Mapping[str, Any]) -> AgentToolStatus:
    """The operator's part of a status: calls are the matcher's, and are not touched."""
    return AgentToolStatus.model_validate({**(body.get("status") or {}), "calls": None})


def target_of(spec: AgentToolSpec) -> Target | None:
    """What is probed; None: the agent runs the tool itself."""
    if spec.endpoint is None:
        return None
    url = spec.endpoint.url
    if spec.http and spec.http.placeholders:
        url = url.partition("{")[0].rpartition("/")[0] + "/"
    return Target(
        url=url.partition("?")[0],
        is_agent=spec.agent is not None,
        internal=tuple(sorted(spec.egress.internal_hosts)),
    )


def age_rank(body: Mapping[str, Any]) -> tuple[str, str]:
    """Sorts objects oldest first; names decide between those of one second."""
    metadata = body["metadata"]
    return str(metadata.get("creationTimestamp", "")), str(metadata["name"])
