"""Command lines put together from optional parts."""

from typing import Final

OFFLINE: Final = {
    # Models come from a volume; a start must not depend on a hub, nor tell it anything.
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}


def option(name: str, value: object | None) -> tuple[str, ...]:
    """`name=value` as one word, since a value may begin with `-`; nothing for None."""
    return () if value is None else (f"{name}={value}",)
