"""Arms that embed: each with a deadline and a breaker, so that none can fail a search."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from time import monotonic

from flagscale_workloads.agent.tool_match.breaker import Breaker, State
from flagscale_workloads.agent.tool_match.encoders import Encoder
from flagscale_workloads.agent.tool_match.recent import Recent
from flagscale_workloads.agent.tool_match.views import Vectors

QUERY_VECTORS = 4096


@dataclass(slots=True)
class Counts:
    """What an arm did."""

    encoded: int = 0
    failed: int = 0
    timed_out: int = 0
    refused: int = 0
    last_error: str = ""


@dataclass(slots=True)
class Arm:
    """One encoder under guard."""

    name: str
    encoder: Encoder
    deadline_s: float
    clock: Callable[[], float] = monotonic
    counts: Counts = field(default_factory=Counts)
    breaker: Breaker = field(init=False)
    cache: Recent[Vectors] = field(init=False)
    _worker: ThreadPoolExecutor | None = field(init=False, default=None)
    """Of an encoder that may be late."""
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.breaker = Breaker(self.clock)
        self.cache = Recent(QUERY_VECTORS)
        if self.encoder.may_be_late:
            self._worker = ThreadPoolExecutor(1, thread_name_prefix=f"arm-{self.name}")

    @property
    def state(self) -> State:
        """Of its breaker."""
        return self.breaker.state

    def query(self, text: str, parts: Sequence[str]) -> Vectors | None:
        """Rows of the text and its parts; nothing when the arm fails, is late or is paused."""
        return self.asked(text, parts, wait=True)()

    def asked(
        self, text: str, parts: Sequence[str], *, wait: bool = False
    ) -> Callable[[], Vectors | None]:
        """Begin to embed; the result waits until that is done, fails or is late.

        With `wait` this waits already.
        """
        key = (self.encoder.model_id, text)
        cached = self.cache.get(key)
        if cached is not None:
            return lambda: cached
        if not self.breaker.allows():
            self._count("refused")
            return lambda: None
        embed = self._begun(text, parts)
        if wait or self._worker is None:
            rows = self._guarded(key, embed)
            return lambda: rows
        return lambda: self._guarded(key, embed)

    def _begun(self, text: str, parts: Sequence[str]) -> Callable[[], Vectors]:
        if self._worker is None:
            return lambda: self.encoder.encode_query(text, parts)
        late_at = monotonic() + self.deadline_s
        future = self._worker.submit(self.encoder.encode_query, text, parts)
        return lambda: _result(future, late_at)

    def _guarded(self, key: tuple[str, str], embed: Callable[[], Vectors]) -> Vectors | None:
        try:
            rows = embed()
        except FutureTimeout:
            self._fail("timed_out", f"no vector within {self.deadline_s:g} s")
            return None
        except Exception as problem:  # noqa: BLE001 - whatever a model raises, the search goes on
            self._fail("failed", f"{type(problem).__name__}: {problem}")
            return None
        self.breaker.succeeded()
        self._count("encoded")
        self.cache.put(key, rows)
        return rows

    def close(self) -> None:
        """Stop its thread once what runs there has ended."""
        if self._worker:
            self._worker.shutdown(wait=False, cancel_futures=True)

    def _fail(self, kind: str, error: str) -> None:
        self.breaker.failed()
        self.counts.last_error = error
        self._count(kind)

    def _count(self, kind: str) -> None:
        with self._lock:
            setattr(self.counts, kind, getattr(self.counts, kind) + 1)


def _result(future: Future[Vectors], late_at: float) -> Vectors:
    try:
        return future.result(max(late_at - monotonic(), 0.0))
    except FutureTimeout:
        future.cancel()
        raise
