"""Resources as people and programs read them (pure)."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from flagscale_runner.base import Manifest

if TYPE_CHECKING:
    from flagscale_runner.doctor.check import Check
    from flagscale_runner.explain.explain import Explanation

Row = tuple[str, ...]
_COLUMNS: Final[dict[str, Row]] = {
    "TrainJob": (
        "NAMESPACE", "NAME", "PHASE", "PROGRESS", "LOSS", "TOKENS/S", "ETA", "RESTARTS",
    ),
    "InferenceService": ("NAMESPACE", "NAME", "READY", "URL", "MODEL", "ENGINE", "REPLICAS"),
    "AgentTool": ("NAMESPACE", "NAME", "CATEGORY", "SERVER", "READY", "CALLS"),
    "AgentToolSource": ("NAMESPACE", "NAME", "READY", "TOOLS", "SERVER"),
}  # fmt: skip


def as_json(value: object) -> str:
    """The resources as they are kept."""
    return json.dumps(value, indent=2)


def ready(body: Manifest) -> dict[str, Any]:
    """The condition that tells the story."""
    conditions = (body.get("status") or {}).get("conditions") or ()
    return next((c for c in conditions if c["type"] == "Ready"), {})


def row(body: Manifest) -> Row:
    """One line of the table, with the columns of `kubectl get`."""
    metadata = body["metadata"]
    return metadata["namespace"], metadata["name"], *_CELLS[body["kind"]](body)


def _job(body: Manifest) -> Row:
    status = body.get("status") or {}
    progress = status.get("progress") or {}
    percent = progress.get("percent")
    return (
        status.get("phase", "Pending"),
        "" if percent is None else f"{percent}%",
        progress.get("loss", ""),
        progress.get("tokensPerSecond", ""),
        progress.get("eta", ""),
        str(status.get("restarts", 0)),
    )


def _service(body: Manifest) -> Row:
    status = body.get("status") or {}
    return (
        ready(body).get("status", ""),
        status.get("url", ""),
        (status.get("model") or {}).get("name", ""),
        status.get("engine", ""),
        (status.get("replicas") or {}).get("summary", ""),
    )


def _tool(body: Manifest) -> Row:
    status = body.get("status") or {}
    category, calls = body["spec"].get("category") or "", status.get("calls")
    shown = "" if calls is None else str(calls)
    return category, status.get("server", ""), ready(body).get("status", ""), shown


def _source(body: Manifest) -> Row:
    status = body.get("status") or {}
    count = status.get("tools")
    tools = "" if count is None else str(count)
    return ready(body).get("status", ""), tools, status.get("server") or ""


_CELLS: Final[Mapping[str, Callable[[Manifest], Row]]] = {
    "TrainJob": _job,
    "InferenceService": _service,
    "AgentTool": _tool,
    "AgentToolSource": _source,
}


def as_tables(bodies: Sequence[Manifest]) -> str:
    """All resources, one line each, one table for each kind."""
    if not bodies:
        return "nothing runs here; `flagscale run FILE` starts something"
    tables = []
    for kind, columns in _COLUMNS.items():
        rows = [row(body) for body in bodies if body["kind"] == kind]
        tables += [as_rows([columns, *rows])] if rows else []
    return "\n\n".join(tables)


def as_rows(rows: Sequence[Row]) -> str:
    """Cells under each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows
    )


def as_text(body: Manifest) -> str:
    """One resource: its line, why, and its attempts."""
    said = ready(body)
    lines = [as_tables([body]), "", f"{said.get('reason', 'Pending')}: {said.get('message', '')}"]
    for attempt in (body.get("status") or {}).get("attempts") or ():
        about = [f"attempt {attempt['number']}"]
        about += [f"resumed at step {attempt['resumedStep']}"] if attempt.get("resumedStep") else []
        about += [f"last step {attempt['lastStep']}"] if attempt.get("lastStep") else []
        about += [f"ended by {attempt['cause']}"] if attempt.get("cause") else []
        lines.append("  " + ", ".join(about))
    return "\n".join(lines)


def as_explanation(found: "Explanation") -> str:
    """Cause, evidence and next step."""
    phase = found.phase or "not looked at yet"
    lines = [f"{found.about}: {phase}"]
    lines += [] if found.cause == "None" else [f"cause: {found.cause}"]
    lines += [f"because: {found.evidence}"] if found.evidence else []
    return "\n".join([*lines, f"next: {found.step}"])


def as_checks(checks: "Sequence[Check]") -> str:
    """One line for each, and what to do where something is missing."""
    rows = [(_mark(c), c.name, c.found, c.missing) for c in checks]
    return as_rows(rows)


def _mark(check: "Check") -> str:
    if check.blocks:
        return "missing"
    return "optional" if check.missing else "ok"
