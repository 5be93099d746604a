"""Times as Kubernetes writes them, and durations as people read them."""

from datetime import UTC, datetime


def format_time(time: datetime) -> str:
    """RFC 3339 UTC with whole seconds, the precision of metav1.Time."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: object) -> datetime | None:
    """The time in an RFC 3339 string, or None when it is absent or malformed."""
    if not isinstance(text, str):
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def format_duration(seconds: float) -> str:
    """At most two units, as kubectl does: 45s, 2m30s, 3h5m, 4d2h."""
    left = max(0, round(seconds))
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
        elif parts:
            break
    return "".join(parts[:2]) or "0s"
