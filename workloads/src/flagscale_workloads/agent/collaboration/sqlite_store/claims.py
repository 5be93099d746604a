"""Who may do what alone, in SQLite."""

from flagscale_workloads.agent.collaboration import refusals
from flagscale_workloads.agent.collaboration.sqlite_store.agents import Part, lease_left_ms
from flagscale_workloads.agent.collaboration.sqlite_store.database import Transaction
from flagscale_workloads.agent.collaboration.store import ClaimRow

# A claim lives as long as its session's lease, and no longer than itself.
_LIVING = (
    "SELECT c.resource, c.holder, c.token, c.session, "
    "MIN(a.ends_ms, CASE c.ends_ms WHEN 0 THEN a.ends_ms ELSE c.ends_ms END) - ?1 AS left_ms "
    "FROM claims c JOIN agents a ON a.name = c.holder AND a.session = c.session "
    "WHERE left_ms > 0"
)


class SqliteClaims(Part):
    """Part of the store: `store.Claims`."""

    async def claim(
        self, resource: str, name: str, session: int, at_most_ms: int, limit: int
    ) -> ClaimRow:
        """See `store.Claims`."""

        def work(at: Transaction) -> ClaimRow:
            left_ms = lease_left_ms(at, name, session)
            if not left_ms:
                raise refusals.lease_ended(name, session)
            token = _token_for(at, resource, session, limit)
            ends_ms = at.now_ms + at_most_ms if at_most_ms else 0
            at.db.execute(
                "REPLACE INTO claims (resource, token, session, holder, ends_ms) "
                "VALUES (?,?,?,?,?)",
                (resource, token, session, name, ends_ms),
            )
            return ClaimRow(resource, name, token, min(left_ms, at_most_ms or left_ms))

        return await self._database.write(work)

    async def release(self, resource: str, token: int) -> bool:
        """See `store.Claims`."""

        def work(at: Transaction) -> bool:
            held = living_claim(at, resource)
            if held is None or held[0].token != token:
                return False
            at.db.execute("DELETE FROM claims WHERE resource = ?", (resource,))
            return True

        return await self._database.write(work)

    async def holder(self, resource: str) -> ClaimRow | None:
        """See `store.Claims`."""
        held = await self._database.read(lambda at: living_claim(at, resource))
        return held[0] if held else None


def living_claim(at: Transaction, resource: str) -> tuple[ClaimRow, int] | None:
    """A claim that holds, and its session."""
    row = at.db.execute(f"{_LIVING} AND c.resource = ?2", (at.now_ms, resource)).fetchone()
    return (ClaimRow(row[0], row[1], row[2], row[4]), row[3]) if row else None


def _token_for(at: Transaction, resource: str, session: int, limit: int) -> int:
    held = living_claim(at, resource)
    if held is not None:
        claim, holding = held
        if holding != session:
            raise refusals.claim_held(resource, claim.holder, claim.left_ms)
        return claim.token
    if _count(at) >= limit:
        at.db.execute(
            f"DELETE FROM claims WHERE resource NOT IN (SELECT resource FROM ({_LIVING}))",  # noqa: S608
            (at.now_ms,),
        )
        if _count(at) >= limit:
            raise refusals.limit_reached("claims", limit)
    return at.next_number()


def _count(at: Transaction) -> int:
    return int(at.db.execute("SELECT COUNT(*) FROM claims").fetchone()[0])
