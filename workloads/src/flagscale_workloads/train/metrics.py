"""`<output>/metrics.jsonl`: one row per step, each step once however often the run was resumed."""

import json
import os
from pathlib import Path
from typing import Any

from flagscale_workloads.train import durable
from flagscale_workloads.train.errors import writing

Row = dict[str, Any]


class MetricsLog:
    """Rows of the steps done so far; opening it cuts what comes after the resumed step."""

    def __init__(self, path: Path, *, step: int) -> None:
        self._path = path
        with writing(path):
            self.rows_kept = [row for row in read_rows(path) if row["step"] <= step]
            durable.write_text(path, "".join(json.dumps(row) + "\n" for row in self.rows_kept))
            self._file = path.open("a")

    def append(self, row: Row) -> None:
        """Add the row of a step."""
        with writing(self._path):
            self._file.write(json.dumps(row) + "\n")
            self._file.flush()

    def sync(self) -> None:
        """Force the rows to the disk: a checkpoint must not know more steps than they do."""
        with writing(self._path):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_rows(path: Path) -> list[Row]:
    """The whole rows of a file; a line cut by a crash is left out."""
    rows: list[Row] = []
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get("step"), int):
            rows.append(row)
    return rows


def summary(rows: list[Row]) -> dict[str, Any]:
    """What the result tells of a run: `firstLoss`, `loss`, `validationLoss`, `tokensPerSecond`."""
    last = rows[-1] if rows else {}
    validated = [row["validation_loss"] for row in rows if row.get("validation_loss") is not None]
    return {
        "firstLoss": rows[0]["loss"] if rows else None,
        "loss": last.get("loss"),
        "validationLoss": validated[-1] if validated else None,
        "tokensPerSecond": last.get("tokens_per_second"),
    }
