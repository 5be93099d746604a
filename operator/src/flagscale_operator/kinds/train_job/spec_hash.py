"""A short fingerprint of a rendered spec, to tell drift from our own writing."""

import hashlib
import json
from typing import Any


def spec_hash(spec: dict[str, Any]) -> str:
    """16 hex digits over the canonical JSON of a manifest's spec."""
    canonical = json.dumps(spec, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
