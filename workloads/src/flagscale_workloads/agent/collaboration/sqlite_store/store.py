"""The embedded store, put together."""

from pathlib import Path

from flagscale_workloads.agent.collaboration.sqlite_store.agents import SqliteAgents
from flagscale_workloads.agent.collaboration.sqlite_store.claims import SqliteClaims
from flagscale_workloads.agent.collaboration.sqlite_store.clock import Clock, MachineClock
from flagscale_workloads.agent.collaboration.sqlite_store.database import Database
from flagscale_workloads.agent.collaboration.sqlite_store.environment import SqliteEnvironment
from flagscale_workloads.agent.collaboration.sqlite_store.messages import SqliteMessages


class SqliteStore(SqliteAgents, SqliteClaims, SqliteMessages, SqliteEnvironment):
    """One namespace in a file of a folder."""

    @classmethod
    async def open(cls, namespace: str, folder: Path, clock: Clock | None = None) -> "SqliteStore":
        """Open, or make, the namespace's file; many processes may.

        Raises:
            StoreError: no database, not to be written, or no Linux.
        """
        database = Database(folder / f"{namespace}.sqlite", clock or MachineClock.of_this_machine())
        try:
            await database.open()
        except BaseException:
            await database.close()
            raise
        return cls(database)

    async def close(self) -> None:
        """Close the file."""
        await self._database.close()
