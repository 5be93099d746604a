"""Connects to Redis or Valkey and refuses servers that forget what they acknowledge."""

from dataclasses import dataclass
from typing import Final

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from flagscale_workloads.agent.collaboration.errors import StoreError
from flagscale_workloads.agent.collaboration.redis_store.patience import patiently
from flagscale_workloads.agent.collaboration.redis_store.scripts import unavailable

WANTED: Final = {
    "appendonly": "yes",
    "appendfsync": "always",
    "maxmemory-policy": "noeviction",
}


@dataclass(frozen=True, slots=True)
class RedisOptions:
    """How to reach a server."""

    url: str
    """`redis://`, `rediss://` (TLS) or `unix://`, a user and a password in it or beside it."""
    password: str = ""
    timeout_s: float = 5.0
    """For one answer."""
    patience_s: float = 20.0
    """How long a call is repeated while the server is away."""
    connections: int = 64
    """Who needs one more waits; each `receive` that waits has one."""
    durable: bool = True
    """Refuse a server that could lose an acknowledged write."""


def client_of(options: RedisOptions) -> Redis:
    """A client that repeats nothing by itself: see `patience`."""
    pool: BlockingConnectionPool = BlockingConnectionPool.from_url(
        options.url,
        decode_responses=True,
        socket_timeout=options.timeout_s,
        socket_connect_timeout=options.timeout_s,
        max_connections=options.connections,
        timeout=options.patience_s,
        retry=Retry(NoBackoff(), 0),
        **({"password": options.password} if options.password else {}),
    )
    return Redis.from_pool(pool)


async def check(client: Redis, options: RedisOptions) -> None:
    """That the server answers, and that it keeps what it acknowledges.

    Raises:
        StoreError: it does not.
    """
    try:
        found: dict[str, str] = {}
        if options.durable:
            answer = await patiently(lambda: client.config_get(*WANTED), options.patience_s)
            found = {str(name): str(value) for name, value in answer.items()}
        await patiently(client.ping, options.patience_s)
    except ResponseError as error:
        msg = (
            f"Redis: does not tell how it keeps data, got {error}; allow CONFIG GET, or pass "
            "durable=False to accept that acknowledged writes may be lost"
        )
        raise StoreError(msg) from error
    except (RedisError, OSError) as error:
        raise unavailable(error) from error
    wrong = [f"{name} {found[name]}" for name in found if found[name] != WANTED[name]]
    if wrong:
        wanted = ", ".join(f"{name} {value}" for name, value in WANTED.items())
        msg = (
            f"Redis: may lose what it acknowledges, got {', '.join(wrong)}; set {wanted}, or pass "
            "durable=False to accept it"
        )
        raise StoreError(msg)
