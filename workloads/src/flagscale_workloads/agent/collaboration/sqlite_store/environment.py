"""Shared values with versions, in SQLite."""

from flagscale_workloads.agent.collaboration import refusals
from flagscale_workloads.agent.collaboration.sqlite_store.agents import Part
from flagscale_workloads.agent.collaboration.sqlite_store.claims import living_claim
from flagscale_workloads.agent.collaboration.sqlite_store.database import Transaction
from flagscale_workloads.agent.collaboration.store import EntryRow, Guard


class SqliteEnvironment(Part):
    """Part of the store: `store.Environment`."""

    async def put(
        self,
        key: str,
        value: str,
        writer: str,
        nonce: str,
        *,
        expected: int | None,
        guard: Guard | None,
        limit: int,
    ) -> int:
        """See `store.Environment`."""

        def work(at: Transaction) -> int:
            version, token, wrote = _current(at, key)
            if wrote == nonce:
                return version
            _check(at, key, version, token, expected=expected, guard=guard)
            (count,) = at.db.execute("SELECT COUNT(*) FROM environment").fetchone()
            if not version and count >= limit:
                raise refusals.limit_reached("environment entries", limit)
            new = at.next_number()
            at.db.execute(
                "REPLACE INTO environment (key, value, version, token, writer, nonce) "
                "VALUES (?,?,?,?,?,?)",
                (key, value, new, guard.token if guard else 0, writer, nonce),
            )
            return new

        return await self._database.write(work)

    async def delete(self, key: str, *, expected: int | None, guard: Guard | None) -> bool:
        """See `store.Environment`."""

        def work(at: Transaction) -> bool:
            version, token, _ = _current(at, key)
            _check(at, key, version, token, expected=expected, guard=guard)
            at.db.execute("DELETE FROM environment WHERE key = ?", (key,))
            return version > 0

        return await self._database.write(work)

    async def get(self, key: str) -> EntryRow | None:
        """See `store.Environment`."""
        rows = await self._database.read(lambda at: _entries(at, "key = ?", (key,)))
        return rows[0] if rows else None

    async def changes(self, after: int, count: int) -> list[EntryRow]:
        """See `store.Environment`."""
        condition = "version > ? ORDER BY version LIMIT ?"
        return await self._database.read(lambda at: _entries(at, condition, (after, count)))


def _current(at: Transaction, key: str) -> tuple[int, int, str]:
    query = "SELECT version, token, nonce FROM environment WHERE key = ?"
    row = at.db.execute(query, (key,)).fetchone()
    return (row[0], row[1], row[2]) if row else (0, 0, "")


def _check(
    at: Transaction,
    key: str,
    version: int,
    token: int,
    *,
    expected: int | None,
    guard: Guard | None,
) -> None:
    if guard is not None:
        held = living_claim(at, guard.resource)
        newest = held[0].token if held else 0
        if newest != guard.token:
            raise refusals.stale_claim(key, guard.resource, guard.token, newest)
        if token > guard.token:
            raise refusals.stale_claim(key, guard.resource, guard.token, token)
    elif token:
        raise refusals.claim_needed(key, token)
    if expected is not None and expected != version:
        raise refusals.conflict(key, expected, version)


def _entries(at: Transaction, condition: str, values: tuple[str | int, ...]) -> list[EntryRow]:
    columns = "key, value, version, writer, token"
    query = f"SELECT {columns} FROM environment WHERE {condition}"  # noqa: S608
    return [EntryRow(*row) for row in at.db.execute(query, values)]
