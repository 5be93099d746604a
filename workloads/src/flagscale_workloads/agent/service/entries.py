"""An AgentTool as the service needs it, from the object that a watch or a file brings (pure)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from flagscale_api.v1alpha1.agent_tool import AgentToolSpec
from flagscale_workloads.agent.service.kube.api import Body
from flagscale_workloads.agent.tool_match.tool import Tool

Version = tuple[str, int]
"""Uid and generation of an object."""
Conditions = Mapping[Any, Mapping[str, Any]]


class UnusableError(Exception):
    """The object is no tool that can be found."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One usable AgentTool; equal when nothing that matters here has changed."""

    namespace: str
    name: str
    uid: str
    generation: int
    created: str
    tool: Tool
    """As it is found."""
    spec: AgentToolSpec
    blocked: str = ""
    """Why calls are blocked; empty: they are not."""

    @property
    def version(self) -> Version:
        """Uid and generation."""
        return self.uid, self.generation

    @property
    def shared(self) -> bool:
        """Whether every authenticated caller may find and call it."""
        return self.spec.sharing == "cluster"


def entry_of(body: Body, *, judged: bool) -> Entry:
    """Read an object. Raises UnusableError.

    `judged` tells whether an operator compares tools with what was approved; files have none.
    """
    metadata = body.get("metadata") or {}
    name, namespace = str(metadata.get("name", "")), str(metadata.get("namespace", ""))
    if not name:
        msg = "metadata.name: is missing; give it"
        raise UnusableError(msg)
    try:
        spec = AgentToolSpec.model_validate(body.get("spec"))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(("spec", *map(str, first["loc"])))
        raise UnusableError(f"{where}: {first['msg']}, got {first['input']!r:.80}") from error
    status = body.get("status") or {}
    conditions = {one.get("type"): one for one in status.get("conditions") or ()}
    generation = int(metadata.get("generation") or 1)
    if _is(conditions, "Accepted", "False") and status.get("observedGeneration") == generation:
        raise UnusableError(str(conditions["Accepted"].get("message")))
    reachable = not _is(conditions, "Reachable", "False")
    return Entry(
        namespace,
        name,
        str(metadata.get("uid", "")),
        generation,
        str(metadata.get("creationTimestamp", "")),
        _tool(namespace, name, spec, healthy=reachable),
        spec,
        _blocked(spec, status, conditions, generation) if judged else "",
    )


def _tool(namespace: str, name: str, spec: AgentToolSpec, *, healthy: bool) -> Tool:
    try:
        return Tool.create(
            spec.effective_name(name),
            spec.description,
            namespace=namespace,
            server=spec.effective_server,
            category=spec.category or "",
            tags=spec.tags,
            examples=spec.example_queries,
            input_schema=spec.parameters.as_schema(),
            healthy=healthy,
        )
    except ValueError as error:
        raise UnusableError(str(error)) from error


def _blocked(
    spec: AgentToolSpec, status: Mapping[str, Any], conditions: Conditions, generation: int
) -> str:
    if _is(conditions, "SchemaDrifted", "True"):
        return str(conditions["SchemaDrifted"].get("message") or "its schema has changed")
    held = status.get("pinnedDigest") or spec.approved_schema_digest
    # Between a change and the operator's verdict nobody knows whether the tool is still itself.
    if held and status.get("observedGeneration") != generation:
        return "it has changed, and the operator has not compared it yet; try again"
    return ""


def _is(conditions: Conditions, kind: str, status: str) -> bool:
    return bool(conditions.get(kind, {}).get("status") == status)
