"""Figures against their ranges: `ranges.yaml` says what each may be, and why."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

Ranges = Mapping[str, Mapping[str, Any]]
_FILE = Path(__file__).parent / "ranges.yaml"


def outside(figures: Mapping[str, Any], ranges: Ranges) -> list[str]:
    """One sentence per figure that is not where it should be, or is not there."""
    told = []
    for name, allowed in ranges.items():
        value = figures.get(name)
        low, high = allowed.get("min", float("-inf")), allowed.get("max", float("inf"))
        if value is None or not low <= value <= high:
            bound = ", ".join(f"{key} {allowed[key]}" for key in ("min", "max") if key in allowed)
            told.append(f"{name}: out of range, got {value} ({bound}): {allowed['why']}")
    return told


def report(bench: str, figures: Mapping[str, Any]) -> int:
    """Print what is out of range, then the figures as the last line; the exit code."""
    told = outside(figures, yaml.safe_load(_FILE.read_text()).get(bench, {}))
    for sentence in told:
        print(f"[bench {bench}] {sentence}", flush=True)
    print(json.dumps({"bench": bench, "figures": dict(figures)}))
    return 1 if told else 0
