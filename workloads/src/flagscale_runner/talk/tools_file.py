"""Tools out of a file, in the forms that agents have them in, or those that are run."""

from pathlib import Path
from typing import Any

import yaml

from flagscale_api.v1alpha1.agent_tool import AgentToolSpec
from flagscale_runner.base import Manifest, Runner, RunnerError, phase_of
from flagscale_runner.documents import validated
from flagscale_workloads.agent import Tool

_HELP = "write AgentTools, a list of OpenAI functions, or MCP's {tools: [...]}"


def read_tools(path: Path) -> list[Tool]:
    """Raises RunnerError naming the entry that is no tool."""
    try:
        documents = [d for d in yaml.safe_load_all(path.read_text()) if d is not None]
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RunnerError(f"{path}: can't be read: {error}") from error
    entries = [entry for document in documents for entry in _entries(document)]
    if not entries:
        raise RunnerError(f"{path}: holds no tools; {_HELP}")
    return [_tool(path, number, entry) for number, entry in enumerate(entries, 1)]


def ready_tools(runner: Runner, namespace: str | None) -> list[Tool]:
    """The AgentTools that agents may call; RunnerError when there are none."""
    bodies = [b for b in runner.resources("AgentTool", namespace) if phase_of(b) == "Ready"]
    if not bodies:
        raise RunnerError(
            "tools: none is ready; `flagscale run FILE` makes AgentTools known, or name a file "
            "with --tools"
        )
    return [_tool(Path(b["metadata"]["name"]), 1, _of_resource(_as_written(b))) for b in bodies]


def _as_written(body: Manifest) -> Manifest:
    """A resource as a file has it: what the API server adds is nobody's mistake."""
    return {name: body[name] for name in ("apiVersion", "kind", "metadata", "spec")}


def _entries(document: Any) -> list[Any]:  # noqa: ANN401 - of a file
    if isinstance(document, list):
        return document
    if not isinstance(document, dict):
        return [document]
    if "apiVersion" in document:
        return [_of_resource(document)] if document.get("kind") == "AgentTool" else []
    return list(document.get("tools") or ())


def _of_resource(body: Manifest) -> dict[str, Any]:
    target = validated(body)
    spec = AgentToolSpec.model_validate(body["spec"])
    return {
        "name": spec.name or target.name,
        "server": spec.server or "",
        "description": spec.description,
        "category": spec.category,
        "tags": tuple(spec.tags),
        "examples": tuple(spec.example_queries),
        "inputSchema": {"type": "object", **body["spec"].get("parameters", {})},
    }


def _tool(path: Path, number: int, entry: Any) -> Tool:  # noqa: ANN401 - of a file
    told = entry.get("function", entry) if isinstance(entry, dict) else {}
    if not isinstance(told, dict) or not told.get("name"):
        raise RunnerError(f"{path}: tool {number} has no name, got {entry!r:.80}; {_HELP}")
    schema = told.get("inputSchema") or told.get("parameters")
    others = {n: told[n] for n in ("server", "category", "tags", "examples") if told.get(n)}
    try:
        return Tool.create(
            told["name"],
            told.get("description") or "",
            input_schema=schema if isinstance(schema, dict) else None,
            **others,
        )
    except (TypeError, ValueError) as error:
        raise RunnerError(f"{path}: tool {number}: {error}") from error
