"""An `Encoder` whose model lives in another process, which is started again when it ends."""

import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Final

import numpy as np

from flagscale_workloads.agent.service.embedding.lane import (
    READY,
    EmbedderError,
    EmbedderLateError,
    Request,
    ask,
)
from flagscale_workloads.agent.tool_match.encoders import MINILM_ID
from flagscale_workloads.agent.tool_match.views import Vectors

_log = logging.getLogger(__name__)
COMMAND: Final = (sys.executable, "-m", "flagscale_workloads.agent.service.embedding")
START_S: Final = 120.0
QUERY_S: Final = 5.0
BATCH_S: Final = 60.0
PIECE: Final = 32
"""Texts of one request, so that none takes long."""
FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0


@dataclass(slots=True)
class _Child:
    process: subprocess.Popen[bytes]
    queries: Connection
    texts: Connection
    query_turn: threading.Lock = field(default_factory=threading.Lock)
    text_turn: threading.Lock = field(default_factory=threading.Lock)


class ProcessEncoder:
    """MiniLM behind two lanes. Each method raises EmbedderError while there is no process."""

    model_id = MINILM_ID
    dimensions = 384
    may_be_late = True

    def __init__(self, command: Sequence[str] = COMMAND) -> None:
        self._command = tuple(command)
        self._child: _Child | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._up = threading.Event()
        self._stopping = threading.Event()
        self.starts = 0
        self._keeper = threading.Thread(target=self._keep, name="embedder", daemon=True)
        self._keeper.start()

    @property
    def pid(self) -> int | None:
        """Of the process, once it is ready."""
        child = self._child
        return child.process.pid if child else None

    def wait_ready(self, timeout_s: float) -> bool:
        """Until it has loaded its model; whether it has."""
        return self._up.wait(timeout_s)

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Rows of texts, in pieces, so that no piece takes long."""
        child = self._ready()
        rows = [np.zeros((0, self.dimensions), np.float32)]
        with child.text_turn:
            for start in range(0, len(texts), PIECE):
                part = list(texts[start : start + PIECE])
                rows.append(self._ask(child, child.texts, part, BATCH_S))
        return np.concatenate(rows)

    def encode_query(self, text: str, parts: Sequence[str]) -> Vectors:
        """A row for the text and one for each of its parts."""
        child = self._ready()
        request = {"text": text, "parts": list(parts)}
        with child.query_turn:
            return self._ask(child, child.queries, request, QUERY_S)

    def close(self) -> None:
        """End the process."""
        self._stopping.set()
        if self._process:
            self._process.terminate()
        self._keeper.join(timeout=LONGEST_PAUSE_S)

    def _ready(self) -> _Child:
        if self._child is None:
            msg = "embedder: not running; it is being started"
            raise EmbedderError(msg)
        return self._child

    def _ask(self, child: _Child, lane: Connection, request: Request, timeout_s: float) -> Vectors:
        try:
            return ask(lane, request, self.dimensions, timeout_s)
        except EmbedderLateError:
            child.process.kill()
            raise

    def _keep(self) -> None:
        """Keep one process running until closed."""
        pause_s = FIRST_PAUSE_S
        while not self._stopping.is_set():
            child = self._start()
            if child is not None:
                pause_s = FIRST_PAUSE_S
                self._child = child
                self._up.set()
                code = child.process.wait()
                self._child = None
                self._up.clear()
                for lane in (child.queries, child.texts):
                    lane.close()
                if not self._stopping.is_set():
                    _log.warning("embedder: ended with code %s; starting it again", code)
            self._stopping.wait(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _start(self) -> _Child | None:
        self.starts += 1
        ours, theirs = zip(socket.socketpair(), socket.socketpair(), strict=True)
        numbers = [end.fileno() for end in theirs]
        process = self._process = subprocess.Popen(
            [*self._command, *map(str, numbers)], pass_fds=numbers, stdin=subprocess.DEVNULL
        )
        for end in theirs:
            end.close()
        queries, texts = (Connection(end.detach()) for end in ours)
        try:
            if queries.poll(START_S) and queries.recv_bytes() == READY:
                return _Child(process, queries, texts)
        except (EOFError, OSError):
            pass
        process.kill()
        _log.warning("embedder: did not start, exit code %s", process.wait())
        queries.close()
        texts.close()
        return None
