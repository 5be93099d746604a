"""Vectors of tools by content: what was embedded once is never embedded again."""

import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

import numpy as np

from flagscale_workloads.agent.tool_match.encoders import Encoder
from flagscale_workloads.agent.tool_match.tool import Tool
from flagscale_workloads.agent.tool_match.views import VERSION, Vectors, combine, views

CHUNK = 256
T = TypeVar("T")
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

    def known(self, keys: Sequence[str]) -> set[str]:
        """Those of the keys that are kept."""
        found: set[str] = set()
        with self._lock:
            for start in range(0, len(keys), CHUNK):
                part = list(keys[start : start + CHUNK])
                marks = ",".join("?" * len(part))
                query = f"SELECT key FROM vectors WHERE key IN ({marks})"  # noqa: S608
                found.update(key for (key,) in self._db.execute(query, part))
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


def tool_key(tool: Tool, encoder: Encoder) -> str:
    """Names a tool's vector by its content."""
    return f"{encoder.model_id}/{VERSION}/{tool.text_digest()}"


def text_key(text: str, encoder: Encoder) -> str:
    """Names a text's vector by its content."""
    return f"{encoder.model_id}/text/{sha256(text.encode()).hexdigest()}"


def tool_vectors(tools: Sequence[Tool], encoder: Encoder, store: VectorStore) -> Vectors:
    """One row per tool, from the store or embedded now and stored.

    Raises:
        Exception: whatever the encoder raises.
    """
    named = [tool_key(tool, encoder) for tool in tools]
    known = _known(dict(zip(named, tools, strict=True)), encoder, store, embed)
    return _stacked([known[key] for key in named], encoder)


def text_vectors(texts: Sequence[str], encoder: Encoder, store: VectorStore) -> Vectors:
    """One row per text, kept in the same way.

    Raises:
        Exception: whatever the encoder raises.
    """
    named = [text_key(text, encoder) for text in texts]
    keys = dict(zip(named, texts, strict=True))
    known = _known(keys, encoder, store, lambda part, one: one.encode(part))
    return _stacked([known[key] for key in named], encoder)


def embed(tools: Sequence[Tool], encoder: Encoder) -> Vectors:
    """The combined vector of each tool; equal texts are encoded once."""
    texts = [views(tool) for tool in tools]
    distinct = {text: row for row, text in enumerate(dict.fromkeys(t for v in texts for t in v))}
    rows = encoder.encode(list(distinct))
    short, full, name = (rows[[distinct[v[i]] for v in texts]] for i in range(3))
    return combine(short, full, name)


def _known(
    wanted: Mapping[str, T],
    encoder: Encoder,
    store: VectorStore,
    encode: Callable[[Sequence[T], Encoder], Vectors],
) -> dict[str, Vectors]:
    known = store.get(list(wanted))
    pending = [(key, one) for key, one in wanted.items() if key not in known]
    for start in range(0, len(pending), CHUNK):
        part = pending[start : start + CHUNK]
        rows = encode([one for _, one in part], encoder)
        # Rounded as the store does it, so that a restart changes no score.
        fresh = {key: _halved(row) for (key, _), row in zip(part, rows, strict=True)}
        store.put(fresh)
        known |= fresh
    return known


def _halved(row: Vectors) -> Vectors:
    return row.astype(np.float16).astype(np.float32)


def _stacked(rows: Sequence[Vectors], encoder: Encoder) -> Vectors:
    return np.stack(rows) if rows else np.zeros((0, encoder.dimensions), np.float32)
