"""Who lives, in Redis."""

from flagscale_workloads.agent.collaboration import refusals
from flagscale_workloads.agent.collaboration.redis_store.scripts import Part
from flagscale_workloads.agent.collaboration.store import AgentRow


class RedisAgents(Part):
    """Part of the store: `store.Agents`."""

    async def register(
        self, name: str, record: str, nonce: str, lease_ms: int, *, take_over: bool, limit: int
    ) -> int:
        """See `store.Agents`."""
        keys = self._keys.of("leases", "sessions", "records", "nonces", "counter")
        word, *rest = await self.run(
            "register", keys, name, record, nonce, lease_ms, int(take_over), limit
        )
        if word == "taken":
            raise refusals.name_taken(name, int(rest[0]))
        if word == "limit":
            raise refusals.limit_reached("agents", limit)
        return int(rest[0])

    async def heartbeat(self, name: str, session: int, lease_ms: int) -> None:
        """See `store.Agents`."""
        keys = self._keys.of("leases", "sessions")
        word, *_ = await self.run("heartbeat", keys, name, session, lease_ms)
        if word == "ended":
            raise refusals.lease_ended(name, session)

    async def leave(self, name: str, session: int) -> bool:
        """See `store.Agents`."""
        keys = self._keys.of("leases", "sessions", "records", "nonces")
        return await self.run("leave", keys, name, session) == ["ok", "1"]

    async def agents(self) -> list[AgentRow]:
        """See `store.Agents`."""
        return sorted(await self._living(""), key=lambda row: row.name)

    async def agent(self, name: str) -> AgentRow | None:
        """See `store.Agents`."""
        return next(iter(await self._living(name)), None)

    async def _living(self, name: str) -> list[AgentRow]:
        _, *flat = await self.run("agents", self._keys.of("leases", "sessions", "records"), name)
        rows = zip(flat[::4], flat[1::4], flat[2::4], flat[3::4], strict=True)
        return [AgentRow(who, int(session), text, int(left)) for who, session, text, left in rows]
