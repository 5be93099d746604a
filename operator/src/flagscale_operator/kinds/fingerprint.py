"""Hashes of manifests, and whether what is stored still says what was applied."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

_NORMALISED: Final = "resources"
"""The API server rewrites quantities (0.5 becomes 500m), so they are not compared."""


def fingerprint(manifest: Mapping[str, Any]) -> str:
    """16 hexadecimal digits over everything in it."""
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def still_says(stored: Any, applied: Any) -> bool:  # noqa: ANN401 - walks any JSON
    """Whether each applied value is stored; the API server may add defaults of its own."""
    if stored is None and not applied:
        return True  # an empty value may be left out
    if isinstance(applied, Mapping):
        return isinstance(stored, Mapping) and all(
            key == _NORMALISED or still_says(stored.get(key), value)
            for key, value in applied.items()
        )
    if isinstance(applied, list):
        return (
            isinstance(stored, list)
            and len(stored) == len(applied)
            and all(map(still_says, stored, applied))
        )
    return bool(stored == applied)
