"""Pages of a sorted list (pure)."""

import base64
import binascii
import json
from collections.abc import Sequence

from flagscale_workloads.agent.service.entries import Entry
from flagscale_workloads.agent.service.errors import ServiceError

Place = tuple[str, str, str]


def page(entries: Sequence[Entry], cursor: str, limit: int) -> tuple[list[Entry], str]:
    """A page in the order of server, namespace and name, and the cursor of the next one.

    The cursor names the last tool, so tools that come or go meanwhile move nothing twice.

    Raises:
        ServiceError: 400 for a cursor that is none of ours.
    """
    after = _place_of(cursor) if cursor else None
    rest = sorted((e for e in entries if after is None or place(e) > after), key=place)
    found = rest[:limit]
    return found, _cursor(place(found[-1])) if len(rest) > limit else ""


def place(entry: Entry) -> Place:
    """What orders entries."""
    return entry.tool.server, entry.namespace, entry.name


def _cursor(last: Place) -> str:
    return base64.urlsafe_b64encode(json.dumps(last).encode()).decode()


def _place_of(cursor: str) -> Place:
    try:
        server, namespace, name = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        return str(server), str(namespace), str(name)
    except (ValueError, TypeError, binascii.Error) as error:
        message = f"cursor: not one of ours, got {cursor[:80]!r}; leave it out to begin anew"
        raise ServiceError(400, "invalid_request", message) from error
