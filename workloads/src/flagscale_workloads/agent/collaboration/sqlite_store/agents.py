"""Who lives, in SQLite."""

from flagscale_workloads.agent.collaboration import refusals
from flagscale_workloads.agent.collaboration.sqlite_store.database import Database, Transaction
from flagscale_workloads.agent.collaboration.store import AgentRow


class Part:
    """What the parts of the store share."""

    def __init__(self, database: Database) -> None:
        self._database = database


class SqliteAgents(Part):
    """Part of the store: `store.Agents`."""

    async def register(
        self, name: str, record: str, nonce: str, lease_ms: int, *, take_over: bool, limit: int
    ) -> int:
        """See `store.Agents`."""

        def work(at: Transaction) -> int:
            at.db.execute("DELETE FROM agents WHERE ends_ms <= ?", (at.now_ms,))
            session = _session_for(at, name, nonce, take_over=take_over, limit=limit)
            at.db.execute(
                "REPLACE INTO agents (name, session, nonce, record, ends_ms) VALUES (?,?,?,?,?)",
                (name, session, nonce, record, at.now_ms + lease_ms),
            )
            return session

        return await self._database.write(work)

    async def heartbeat(self, name: str, session: int, lease_ms: int) -> None:
        """See `store.Agents`."""

        def work(at: Transaction) -> None:
            if not lease_left_ms(at, name, session):
                raise refusals.lease_ended(name, session)
            ends_ms = at.now_ms + lease_ms
            at.db.execute("UPDATE agents SET ends_ms = ? WHERE name = ?", (ends_ms, name))

        await self._database.write(work)

    async def leave(self, name: str, session: int) -> bool:
        """See `store.Agents`."""

        def work(at: Transaction) -> bool:
            lived = lease_left_ms(at, name, session) > 0
            at.db.execute("DELETE FROM agents WHERE name = ? AND session = ?", (name, session))
            return lived

        return await self._database.write(work)

    async def agents(self) -> list[AgentRow]:
        """See `store.Agents`."""
        return await self._database.read(lambda at: _living(at, ""))

    async def agent(self, name: str) -> AgentRow | None:
        """See `store.Agents`."""
        return next(iter(await self._database.read(lambda at: _living(at, name))), None)


def lease_left_ms(at: Transaction, name: str, session: int) -> int:
    """Of an agent's lease; 0 when it is gone, or when another session took its name."""
    query = "SELECT ends_ms FROM agents WHERE name = ? AND session = ?"
    row = at.db.execute(query, (name, session)).fetchone()
    return max(0, row[0] - at.now_ms) if row else 0


def _session_for(at: Transaction, name: str, nonce: str, *, take_over: bool, limit: int) -> int:
    query = "SELECT session, nonce, ends_ms FROM agents WHERE name = ?"
    row = at.db.execute(query, (name,)).fetchone()
    if row is None:
        (count,) = at.db.execute("SELECT COUNT(*) FROM agents").fetchone()
        if count >= limit:
            raise refusals.limit_reached("agents", limit)
        return at.next_number()
    session, known, ends_ms = row
    if known == nonce:
        return int(session)
    if not take_over:
        raise refusals.name_taken(name, ends_ms - at.now_ms)
    return at.next_number()


def _living(at: Transaction, name: str) -> list[AgentRow]:
    rows = at.db.execute(
        "SELECT name, session, record, ends_ms - ?1 FROM agents "
        "WHERE ends_ms > ?1 AND (?2 = '' OR name = ?2) ORDER BY name",
        (at.now_ms, name),
    )
    return [AgentRow(*row) for row in rows]
