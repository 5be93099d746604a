"""Transactions on one SQLite file, off the event loop."""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import uniform
from time import monotonic, sleep
from typing import Final, TypeVar

from flagscale_workloads.agent.collaboration.errors import StoreError
from flagscale_workloads.agent.collaboration.sqlite_store.clock import Clock
from flagscale_workloads.agent.collaboration.sqlite_store.schema import prepare

BUSY_TIMEOUT_S: Final = 30.0
AGAIN_S: Final = (0.001, 0.02)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Transaction:
    """A connection inside a transaction, and the time at which it holds."""

    db: sqlite3.Connection
    now_ms: int

    def next_number(self) -> int:
        """The namespace's next number: sessions, tokens and versions are drawn from one row."""
        row = self.db.execute("UPDATE state SET counter = counter + 1 RETURNING counter").fetchone()
        return int(row[0])


class Database:
    """One connection on one thread, so that no two transactions of a process mix."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="collaboration")
        self._db: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Open the file, made if need be.

        Raises:
            StoreError: no database, or not to be written.
        """
        await self._on_thread(self._open)

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """All of it or nothing; on disk when it returns.

        Raises:
            StoreError: the file can't be written.
        """
        return await self._on_thread(lambda: self._transact("BEGIN IMMEDIATE", work))

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """One moment of the file; waits for no writer.

        Raises:
            StoreError: the file can't be read.
        """
        return await self._on_thread(lambda: self._transact("BEGIN", work))

    async def close(self) -> None:
        """Close the file."""
        if self._db is not None:
            await self._on_thread(self._db.close)
        self._thread.shutdown(wait=True)

    def _open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(
            str(self._path), timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        _write_ahead(self._db)
        # Each commit reaches the disk before it returns.
        self._db.execute("PRAGMA synchronous = FULL")
        prepare(self._db, self._clock.boot)

    def _transact(self, begin: str, work: Callable[[Transaction], T]) -> T:
        db = self._db
        if db is None:
            msg = f"embedded store {self._path}: not open; open it first"
            raise StoreError(msg)
        db.execute(begin)
        try:
            # The time is read once the lock is held: who waited for it sees no lease as alive
            # that ended meanwhile.
            done = work(Transaction(db, self._clock.now_ms()))
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise
        return done

    async def _on_thread(self, work: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, work)
        except (sqlite3.Error, OSError) as error:
            msg = f"embedded store {self._path}: did not do it, got {error}; look at the file"
            raise StoreError(msg) from error


def _write_ahead(db: sqlite3.Connection) -> None:
    """Switch a file's journal, also while others do.

    SQLite waits for no lock here: of two who would each wait for the other, one is refused at once.
    """
    deadline = monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            # The lower byte; the others tell why it is busy.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or monotonic() > deadline:
                raise
        else:
            return
        sleep(uniform(*AGAIN_S))  # noqa: S311 - a pause, no secret
