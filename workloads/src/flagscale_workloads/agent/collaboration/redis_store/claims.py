"""Who may do what alone, in Redis."""

from flagscale_workloads.agent.collaboration import refusals
from flagscale_workloads.agent.collaboration.redis_store.scripts import Part
from flagscale_workloads.agent.collaboration.store import ClaimRow


class RedisClaims(Part):
    """Part of the store: `store.Claims`."""

    async def claim(
        self, resource: str, name: str, session: int, at_most_ms: int, limit: int
    ) -> ClaimRow:
        """See `store.Claims`."""
        keys = self._keys.of("leases", "sessions", "claims", "counter")
        word, *rest = await self.run("claim", keys, resource, name, session, at_most_ms, limit)
        if word == "ended":
            raise refusals.lease_ended(name, session)
        if word == "held":
            raise refusals.claim_held(resource, rest[0], int(rest[1]))
        if word == "limit":
            raise refusals.limit_reached("claims", limit)
        return ClaimRow(resource, name, int(rest[0]), int(rest[1]))

    async def release(self, resource: str, token: int) -> bool:
        """See `store.Claims`."""
        keys = self._keys.of("leases", "sessions", "claims")
        return await self.run("release", keys, resource, token) == ["ok", "1"]

    async def holder(self, resource: str) -> ClaimRow | None:
        """See `store.Claims`."""
        keys = self._keys.of("leases", "sessions", "claims")
        _, *rest = await self.run("holder", keys, resource)
        if not rest:
            return None
        return ClaimRow(resource, rest[1], int(rest[0]), int(rest[2]))
