"""Answers as JSON (pure)."""

import json
from collections.abc import Callable
from typing import Any, Final

from flagscale_workloads.agent.service.catalogue import Catalogue
from flagscale_workloads.agent.service.entries import Entry
from flagscale_workloads.agent.tool_match.answer import Hit, Matches

BYTES_PER_TOKEN: Final = 4
Categories = Callable[[str], str]
"""From a tool's key to what it is filed under."""


def matched(
    found: Matches, catalogue: Catalogue, category: Categories, schema_tokens: int
) -> dict[str, Any]:
    """Hits, best first, and what produced them."""
    hits = _hits(found.hits, catalogue, category)
    left = schema_tokens * BYTES_PER_TOKEN
    for entry, shown in hits:
        schema = entry.spec.parameters.as_schema()
        left -= len(json.dumps(schema, separators=(",", ":")))
        if left < 0:
            break
        shown["input_schema"] = schema
    return {"tools": [shown for _, shown in hits], **_origin(found)}


def explained(found: Matches, catalogue: Catalogue, category: Categories) -> dict[str, Any]:
    """What was ranked, with the share of every arm, also where it was held back."""
    hits = _hits(found.considered, catalogue, category)
    by_id = {(entry.namespace, entry.name): shown for entry, shown in hits}
    for hit in found.considered:
        entry = catalogue.of_key(hit.tool.key)
        if entry and (shown := by_id.get((entry.namespace, entry.name))):
            shown["arms"] = {
                name: {
                    "raw": round(part.raw, 4),
                    "scaled": round(part.scaled, 4),
                    "weight": round(part.weight, 4),
                }
                for name, part in hit.parts.items()
            }
    return {"considered": [shown for _, shown in hits], **_origin(found)}


def described(entry: Entry, category: str) -> dict[str, Any]:
    """One tool whole, without its address and credential."""
    spec = entry.spec
    return {
        **_summary(entry, category),
        "tags": list(spec.tags),
        "example_queries": list(spec.example_queries),
        "input_schema": spec.parameters.as_schema(),
        "idempotent": spec.idempotent,
        "timeout_seconds": spec.timeout_seconds,
        "callable": spec.kind != "function" and not entry.blocked,
        "blocked": entry.blocked or None,
        # An agent can be talked to without us, too.
        "agent_url": spec.agent.url if spec.agent else None,
    }


def listed(entries: list[tuple[Entry, str]], next_cursor: str) -> dict[str, Any]:
    """A page."""
    shown = [_summary(entry, category) for entry, category in entries]
    return {"tools": shown, "next_cursor": next_cursor or None}


def _hits(
    found: tuple[Hit, ...], catalogue: Catalogue, category: Categories
) -> list[tuple[Entry, dict[str, Any]]]:
    hits = []
    for hit in found:
        entry = catalogue.of_key(hit.tool.key)
        # One that went away while the search ran is left out.
        if entry is not None:
            scores = {
                "score": round(hit.score, 4),
                "confidence": round(hit.confidence, 4),
                "clause": hit.clause,
            }
            hits.append((entry, {**_summary(entry, category(hit.tool.key)), **scores}))
    return hits


def _summary(entry: Entry, category: str) -> dict[str, Any]:
    return {
        "namespace": entry.namespace,
        "name": entry.name,
        "tool": entry.tool.name,
        "server": entry.tool.server,
        "kind": entry.spec.kind,
        "category": category,
        "description": entry.tool.description,
    }


def _origin(found: Matches) -> dict[str, Any]:
    return {
        "abstained": found.abstained,
        "tier": found.tier,
        "degraded": list(found.degraded),
        "generation": found.generation,
        "cached": found.cached,
        "took_ms": round(found.took_ms, 3),
    }
