"""Connects to Redis or Valkey and refuses servers that forget what they acknowledge."""

from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from flagscale_workloads.agent.collaboration.errors import StoreError
from flagscale_workloads.agent.collaboration.redis_store.scripts import unavailable

WANTED: Final = {
    "appendonly": "yes",
    "appendfsync": "always",
    "maxmemory-policy": "noeviction",
}
BACKOFF_S: Final = (0.02, 0.5)


@dataclass(frozen=True, slots=True)
class RedisOptions:
    """How to reach a server."""

    url: str
    """`redis://`, `rediss://` (TLS) or `unix://`, a user and a password in it or beside it."""
    password: str = ""
    timeout_s: float = 5.0
    """For one answer."""
    retries: int = 20
    """Of a call whose answer was lost, with at most 0.5 s between; all calls can be repeated."""
    connections: int = 32
    durable: bool = True
    """Refuse a server that could lose an acknowledged write."""


def client_of(options: RedisOptions) -> Redis:
    """A client that repeats calls while a server is restarted."""
    base, cap = BACKOFF_S
    client: Redis = Redis.from_url(
        options.url,
        decode_responses=True,
        socket_timeout=options.timeout_s,
        socket_connect_timeout=options.timeout_s,
        max_connections=options.connections,
        retry=Retry(ExponentialWithJitterBackoff(base=base, cap=cap), options.retries),
        retry_on_error=[RedisConnectionError, RedisTimeoutError, ConnectionError],
        password=options.password or None,
    )
    return client


async def check(client: Redis, options: RedisOptions) -> None:
    """That the server answers, and that it keeps what it acknowledges.

    Raises:
        StoreError: it does not.
    """
    try:
        found: dict[str, str] = {}
        if options.durable:
            found = {str(k): str(v) for k, v in (await client.config_get(*WANTED)).items()}
        await client.ping()
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
