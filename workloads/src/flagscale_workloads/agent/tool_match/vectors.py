"""Vectors of tools by content: what was embedded once is never embedded again."""

import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from flagscale_workloads.agent.tool_match.encoders import Encoder
from flagscale_workloads.agent.tool_match.tool import Tool
from flagscale_workloads.agent.tool_match.views import VERSION, Vectors, combine, views

CHUNK = 256
_SCHEMA = "CREATE TABLE IF NOT EXISTS vectors (key TEXT PRIMARY KEY, data BLOB) WITHOUT ROWID"


class VectorStore:
    """Keeps vectors in SQLite, as half floats; `:memory:` for a store that lives with us.

    Raises:
        sqlite3.Error: the file is no database, or can't be written.
    """

    def __init__(self, path: Path | str = ":memory:") -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(str(path), check_same_thread=False)
        self._db.execute(_SCHEMA)

    def get(self, keys: Sequence[str]) -> dict[str, Vectors]:
        """Those that are known."""
        found: dict[str, Vectors] = {}
        with self._lock:
            for start in range(0, len(keys), CHUNK):
                part = list(keys[start : start + CHUNK])
                marks = ",".join("?" * len(part))
                query = f"SELECT key, data FROM vectors WHERE key IN ({marks})"  # noqa: S608
                for key, data in self._db.execute(query, part):
                    found[key] = np.frombuffer(data, np.float16).astype(np.float32)
        return found

    def put(self, rows: dict[str, Vectors]) -> None:
        """Remember them."""
        values = [(key, row.astype(np.float16).tobytes()) for key, row in rows.items()]
        with self._lock, self._db:
            self._db.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", values)

    def count(self) -> int:
        """How many are kept."""
        with self._lock:
            return int(self._db.execute("SELECT COUNT(*) FROM vectors").fetchone()[0])

    def clear(self) -> None:
        """Forget all."""
        with self._lock, self._db:
            self._db.execute("DELETE FROM vectors")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()


def tool_vectors(
    tools: Sequence[Tool],
    encoder: Encoder,
    store: VectorStore,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> Vectors:
    """One row per tool, from the store or embedded now and stored.

    Raises:
        Exception: whatever the encoder raises.
    """
    keys = [f"{encoder.model_id}/{VERSION}/{tool.text_digest()}" for tool in tools]
    known = store.get(list(dict.fromkeys(keys)))
    unknown = {key: tool for key, tool in zip(keys, tools, strict=True) if key not in known}
    pending = list(unknown.items())
    for start in range(0, len(pending), CHUNK):
        part = pending[start : start + CHUNK]
        rows = embed([tool for _, tool in part], encoder)
        fresh = {key: row for (key, _), row in zip(part, rows, strict=True)}
        store.put(fresh)
        # What was rounded by the store must not differ from what is computed.
        known |= {key: row.astype(np.float16).astype(np.float32) for key, row in fresh.items()}
        told(start + len(part), len(pending))
    if not keys:
        return np.zeros((0, encoder.dimensions), np.float32)
    return np.stack([known[key] for key in keys])


def embed(tools: Sequence[Tool], encoder: Encoder) -> Vectors:
    """The combined vector of each tool; equal texts are encoded once."""
    texts = [views(tool) for tool in tools]
    distinct = {text: row for row, text in enumerate(dict.fromkeys(t for v in texts for t in v))}
    rows = encoder.encode(list(distinct))
    short, full, name = (rows[[distinct[v[i]] for v in texts]] for i in range(3))
    return combine(short, full, name)
