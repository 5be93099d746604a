"""JSON logs, one line per event, with the object being worked on in every line.

Bodies and secrets never get here: callers log identities and reasons, and this formatter writes the
message, the bound fields and the traceback, nothing else of a record.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Final, TextIO

FIELDS: Final = ("controller", "namespace", "name", "uid", "generation", "reconcile_id")
# A context variable has to live in a module; each task sees its own value.
_bound: ContextVar[Mapping[str, str | int]] = ContextVar("flagscale_log_fields", default={})  # noqa: B039


@contextmanager
def bound(**fields: str | int) -> Iterator[None]:
    """Add fields (of `FIELDS`) to every line that is logged inside, in this task only."""
    unknown = fields.keys() - set(FIELDS)
    if unknown:
        msg = f"bound: unknown log field, got {sorted(unknown)}; use one of {', '.join(FIELDS)}"
        raise ValueError(msg)
    token = _bound.set({**_bound.get(), **fields})
    try:
        yield
    finally:
        _bound.reset(token)


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, message, logger, the bound fields, and the traceback if there is one."""
        time = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, str | int] = {
            "ts": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "msg": record.getMessage(),
            "logger": record.name,
            **_bound.get(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def configure_logging(level: str, *, stream: TextIO) -> None:
    """Send everything from `level` up to the stream as JSON lines; replaces what was set up."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # aiohttp logs each request's path at INFO; ours are counted in metrics instead.
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    # What servers of tools answer is told by conditions.
    logging.getLogger("httpx2").setLevel(max(root.level, logging.WARNING))
    logging.getLogger("mcp").setLevel(logging.CRITICAL)
    # Kopf tells of every event that it handled.
    for chatty in ("kopf.objects", "kopf.activities", "kopf._core"):
        logging.getLogger(chatty).setLevel(max(root.level, logging.WARNING))
