"""The store in Redis or Valkey, put together."""

from flagscale_workloads.agent.collaboration.redis_store.agents import RedisAgents
from flagscale_workloads.agent.collaboration.redis_store.claims import RedisClaims
from flagscale_workloads.agent.collaboration.redis_store.connection import (
    RedisOptions,
    check,
    client_of,
)
from flagscale_workloads.agent.collaboration.redis_store.environment import RedisEnvironment
from flagscale_workloads.agent.collaboration.redis_store.keys import Keys
from flagscale_workloads.agent.collaboration.redis_store.messages import RedisMessages


class RedisStore(RedisAgents, RedisClaims, RedisMessages, RedisEnvironment):
    """One namespace in a Redis or Valkey server (7 or later)."""

    @classmethod
    async def open(cls, namespace: str, options: RedisOptions) -> "RedisStore":
        """Connect.

        Raises:
            StoreError: no answer, or a server that could lose what it acknowledges.
        """
        client = client_of(options)
        try:
            await check(client, options)
        except BaseException:
            await client.aclose()
            raise
        return cls(client, Keys(namespace), options.patience_s)

    async def close(self) -> None:
        """Give up connections."""
        await self._client.aclose()
