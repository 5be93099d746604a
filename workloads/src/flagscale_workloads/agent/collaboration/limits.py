"""Limits on every input, and the checks for them; none needs the store."""

import json
import math
import re
from dataclasses import dataclass
from typing import Final

from flagscale_workloads.agent.collaboration.errors import InvalidInputError
from flagscale_workloads.agent.collaboration.values import AgentInfo, Json

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")
MESSAGE_ID: Final = re.compile(r"\d{1,19}(-\d{1,19})?")
MAX_INTEGER: Final = 2**53
"""Beyond it the numbers of a Redis script are no longer exact."""
LEASE_S: Final = (0.1, 3600.0)
WAIT_S: Final = (0.0, 3600.0)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one namespace may hold. Every client of a namespace should use the same."""

    agents: int = 1_000
    claims: int = 10_000
    channels: int = 1_000
    groups: int = 64
    """Of one channel."""
    messages: int = 1_000
    """Kept in one channel, acknowledged ones among them: they can be replayed."""
    message_bytes: int = 65_536
    entries: int = 1_000
    entry_bytes: int = 65_536
    record_bytes: int = 16_384
    """Of what an agent tells about itself."""
    batch: int = 100
    """Messages or entries that one call returns at most."""


def check_name(value: object, what: str) -> str:
    """A name of anything.

    Raises:
        InvalidInputError: it is none.
    """
    if not isinstance(value, str) or not NAME.fullmatch(value):
        msg = (
            f"{what}: no name, got {shown(value)}; use 1 to 128 of the letters A-Z a-z 0-9 . _ : "
            "/ -, the first a letter or digit"
        )
        raise InvalidInputError(msg)
    return value


def check_message_id(value: object) -> str:
    """A message's id.

    Raises:
        InvalidInputError: it is none.
    """
    if not isinstance(value, str) or not MESSAGE_ID.fullmatch(value):
        msg = f"message id: malformed, got {shown(value)}; use the id of a message of this channel"
        raise InvalidInputError(msg)
    return value


def check_seconds(value: object, what: str, allowed: tuple[float, float]) -> float:
    """A duration in seconds.

    Raises:
        InvalidInputError: no number, or out of range.
    """
    low, high = allowed
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not low <= value <= high:  # type: ignore[arg-type,operator]
        msg = f"{what}: out of range, got {shown(value)}; use {low:g} to {high:g} seconds"
        raise InvalidInputError(msg)
    return float(value)  # type: ignore[arg-type]


def check_count(value: object, what: str, low: int, high: int) -> int:
    """A whole number.

    Raises:
        InvalidInputError: no whole number, or out of range.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        msg = f"{what}: out of range, got {shown(value)}; use a whole number from {low} to {high}"
        raise InvalidInputError(msg)
    return value


def encode(value: Json, what: str, max_bytes: int) -> str:
    """JSON text of a value.

    Raises:
        InvalidInputError: not JSON, or too long.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError) as error:
        msg = f"{what}: not JSON, got {type(value).__name__} ({error}); use strings, numbers, "
        raise InvalidInputError(msg + "booleans, lists and objects") from None
    if size > max_bytes:
        msg = f"{what}: too long, got {size} bytes; send at most {max_bytes}, or a reference to it"
        raise InvalidInputError(msg)
    return text


def encode_info(info: AgentInfo, max_bytes: int) -> str:
    """JSON text of what an agent tells about itself, its name left out.

    Raises:
        InvalidInputError: a field of another type, or too long.
    """
    check_name(info.name, "agent")
    texts = (info.description, info.url, *info.skills)
    if not all(isinstance(text, str) for text in texts) or not isinstance(info.details, dict):
        msg = f"agent {info.name}: wrong type, got {shown(info)}; texts are strings, details a dict"
        raise InvalidInputError(msg)
    if info.url and not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", info.url):
        msg = f"agent {info.name}: not the URL of a service, got {shown(info.url)}; use "
        raise InvalidInputError(msg + "http(s)://host:port/path without user, query or fragment")
    record = {
        "description": info.description,
        "skills": list(info.skills),
        "url": info.url,
        "details": info.details,
    }
    return encode(record, f"agent {info.name}", max_bytes)


def shown(value: object) -> str:
    """A value as an error shows it: short, and on one line."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
