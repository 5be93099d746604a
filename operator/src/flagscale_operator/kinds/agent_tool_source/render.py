"""The AgentTools that a listing becomes. Pure, and the same for the same input."""

import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from pydantic import ValidationError

from flagscale_api import keys
from flagscale_api.v1alpha1.agent_tool import AgentToolSpec
from flagscale_api.v1alpha1.agent_tool_source import SkippedTool
from flagscale_operator.kinds.agent_tool.parameters import fault_in
from flagscale_operator.kinds.agent_tool_source.names import agent_name, object_name
from flagscale_operator.kinds.agent_tool_source.view import SourceView
from flagscale_operator.kinds.fingerprint import fingerprint
from flagscale_operator.kinds.ownership import owner_reference
from flagscale_operator.kinds.spec import sentences
from flagscale_operator.kube.kinds import AGENT_TOOL, AGENT_TOOL_SOURCE
from flagscale_operator.outside.remote_tools import Listing, RemoteTool

Manifest = dict[str, Any]
SHOWN_NAME = 64
SHOWN_MESSAGE = 300


@dataclass(frozen=True, slots=True)
class Rendered:
    """What should be there, and what of the listing is not."""

    tools: dict[str, Manifest]
    """By metadata.name."""
    skipped: tuple[SkippedTool, ...]


def render_tools(source: SourceView, listing: Listing) -> Rendered:
    """All AgentTools of a source, in the order of their names."""
    skipped = [skip(name, why) for name, why in listing.refused if wanted(source, name)]
    tools: dict[str, Manifest] = {}
    chosen = sorted((t for t in listing.tools if wanted(source, t.name)), key=lambda t: t.name)
    for tool in chosen:
        name = object_name(source.name, tool.name)
        if name in tools:
            skipped.append(skip(tool.name, "is offered twice; the first is taken"))
        elif len(tools) >= source.spec.max_tools:
            why = f"is beyond spec.maxTools, {source.spec.max_tools}; raise it, or exclude others"
            skipped.append(skip(tool.name, why))
        elif isinstance(made := _tool(source, tool, name), str):
            skipped.append(skip(tool.name, made))
        else:
            tools[name] = made
    return Rendered(tools, tuple(skipped))


def wanted(source: SourceView, name: str) -> bool:
    """Whether a source takes the tool of that name."""
    include, exclude = source.spec.include, source.spec.exclude
    if any(fnmatchcase(name, pattern) for pattern in exclude):
        return False
    return not include or any(fnmatchcase(name, pattern) for pattern in include)


def skip(name: str, why: str) -> SkippedTool:
    """Names come from servers, so they are shown in part and as plain characters."""
    shown = "".join(c if c.isprintable() else "?" for c in name[:SHOWN_NAME])
    return SkippedTool(name=shown, message=why[:SHOWN_MESSAGE])


def _tool(source: SourceView, tool: RemoteTool, name: str) -> Manifest | str:
    """The AgentTool, or why there can be none."""
    said: Manifest = {
        "name": agent_name(tool.name) if tool.name else None,
        "server": source.name,
        "description": tool.description or tool.name,
        "parameters": json.loads(tool.parameters),
        "idempotent": tool.idempotent,
        **_settings(source),
        **_endpoint(source, tool),
    }
    try:
        spec = AgentToolSpec.model_validate(said)
    except ValidationError as error:
        return "; ".join(sentences(error)[:2])
    fault = fault_in(spec.parameters)
    if fault:
        return fault
    manifest: Manifest = {
        "apiVersion": AGENT_TOOL.api_version,
        "kind": AGENT_TOOL.kind,
        "metadata": {
            "name": name,
            "namespace": source.namespace,
            "labels": {
                keys.MANAGED_BY_LABEL: keys.MANAGED_BY,
                keys.TOOL_SOURCE_LABEL: source.name,
                keys.OWNER_UID_LABEL: source.uid,
            },
            "ownerReferences": [owner_reference(AGENT_TOOL_SOURCE, source.name, source.uid)],
        },
        "spec": said,
    }
    annotations = {keys.SPEC_HASH_ANNOTATION: fingerprint(manifest)}
    return {**manifest, "metadata": {**manifest["metadata"], "annotations": annotations}}


def _settings(source: SourceView) -> Manifest:
    """What all tools of a source have in common; what it does not say is its users' to say."""
    spec = source.spec
    said: Manifest = {
        "timeoutSeconds": spec.timeout_seconds,
        "egress": {"internalHosts": list(spec.egress.internal_hosts)},
        "sharing": spec.sharing,
    }
    if spec.category:
        said["category"] = spec.category
    if spec.tags:
        said["tags"] = list(spec.tags)
    if spec.auth:
        said["auth"] = spec.auth.model_dump(mode="json", by_alias=True)
    return said


def _endpoint(source: SourceView, tool: RemoteTool) -> Manifest:
    if tool.http:
        return {"http": tool.http.model_dump(mode="json", by_alias=True, exclude_none=True)}
    url = source.spec.mcp.url if source.spec.mcp else ""
    return {"mcp": {"url": url, "tool": tool.name}}
