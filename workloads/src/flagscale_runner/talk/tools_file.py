"""Tools out of a file, in the forms that agents have them in."""

from pathlib import Path
from typing import Any

import yaml

from flagscale_runner.base import RunnerError
from flagscale_workloads.agent import Tool

_HELP = "write a list of {name, description}, of OpenAI functions, or MCP's {tools: [...]}"


def read_tools(path: Path) -> list[Tool]:
    """Raises RunnerError naming the entry that is no tool."""
    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RunnerError(f"{path}: can't be read: {error}") from error
    entries = document.get("tools") if isinstance(document, dict) else document
    if not isinstance(entries, list) or not entries:
        raise RunnerError(f"{path}: holds no tools; {_HELP}")
    return [_tool(path, number, entry) for number, entry in enumerate(entries, 1)]


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
