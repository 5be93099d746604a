"""The words that decisions about an AgentToolSource are written in."""

from dataclasses import dataclass
from typing import Any

from flagscale_api.v1alpha1.agent_tool_source import AgentToolSourceSpec, AgentToolSourceStatus
from flagscale_operator.kinds.spec import parse_spec
from flagscale_operator.outside.source_listing import Credential, KeyOf, Offer


@dataclass(frozen=True, slots=True)
class SourceView:
    """An AgentToolSource with a valid spec, as the API server has it."""

    namespace: str
    name: str
    uid: str
    generation: int
    spec: AgentToolSourceSpec
    status: AgentToolSourceStatus


def parse_agent_tool_source(body: dict[str, Any]) -> SourceView:
    """Raises InvalidSpecError."""
    metadata = body["metadata"]
    return SourceView(
        namespace=metadata.get("namespace", "default"),
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        generation=metadata.get("generation", 1),
        spec=parse_spec(AgentToolSourceSpec, body),
        status=AgentToolSourceStatus.model_validate(body.get("status") or {}),
    )


def offer_of(source: SourceView) -> Offer:
    """What is asked for its tools."""
    spec, auth, api = source.spec, source.spec.auth, source.spec.open_api
    reference = api.config_map_key_ref if api else None
    return Offer(
        namespace=source.namespace,
        mcp_url=spec.mcp.url if spec.mcp else "",
        document_url=(api.url or "") if api else "",
        document=KeyOf(reference.name, reference.key) if reference else None,
        server_url=api.server_url if api else None,
        credential=Credential(
            KeyOf(auth.secret_key_ref.name, auth.secret_key_ref.key), auth.header, auth.scheme
        )
        if auth
        else None,
        internal=tuple(sorted(spec.egress.internal_hosts)),
        timeout_s=spec.timeout_seconds,
        resync_s=spec.resync_seconds,
    )
