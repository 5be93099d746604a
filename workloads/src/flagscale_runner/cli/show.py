"""Resources as people and programs read them (pure)."""

import json
from collections.abc import Sequence
from typing import Any

from flagscale_runner.base import Manifest

_COLUMNS = ("NAMESPACE", "NAME", "PHASE", "PROGRESS", "LOSS", "TOKENS/S", "ETA", "RESTARTS")


def as_json(value: object) -> str:
    """The resources as they are kept."""
    return json.dumps(value, indent=2)


def ready(body: Manifest) -> dict[str, Any]:
    """The condition that tells the story."""
    conditions = (body.get("status") or {}).get("conditions") or ()
    return next((c for c in conditions if c["type"] == "Ready"), {})


def row(body: Manifest) -> tuple[str, ...]:
    """One line of the table, as `kubectl get trainjobs` shows it."""
    status, metadata = body.get("status") or {}, body["metadata"]
    progress = status.get("progress") or {}
    percent = progress.get("percent")
    return (
        metadata["namespace"],
        metadata["name"],
        status.get("phase", "Pending"),
        "" if percent is None else f"{percent}%",
        progress.get("loss", ""),
        progress.get("tokensPerSecond", ""),
        progress.get("eta", ""),
        str(status.get("restarts", 0)),
    )


def as_table(bodies: Sequence[Manifest]) -> str:
    """All resources, one line each."""
    if not bodies:
        return "nothing runs here; `flagscale run FILE` starts something"
    rows = [_COLUMNS, *map(row, bodies)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows
    )


def as_text(body: Manifest) -> str:
    """One resource: its line, why, and its attempts."""
    said = ready(body)
    lines = [as_table([body]), "", f"{said.get('reason', 'Pending')}: {said.get('message', '')}"]
    for attempt in (body.get("status") or {}).get("attempts") or ():
        about = [f"attempt {attempt['number']}"]
        about += [f"resumed at step {attempt['resumedStep']}"] if attempt.get("resumedStep") else []
        about += [f"last step {attempt['lastStep']}"] if attempt.get("lastStep") else []
        about += [f"ended by {attempt['cause']}"] if attempt.get("cause") else []
        lines.append("  " + ", ".join(about))
    return "\n".join(lines)
