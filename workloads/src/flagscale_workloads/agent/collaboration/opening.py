"""Where a namespace lies, from a URL."""

import re
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from flagscale_workloads.agent.collaboration.errors import InvalidInputError
from flagscale_workloads.agent.collaboration.limits import shown
from flagscale_workloads.agent.collaboration.store import Store

NAMESPACE: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
REDIS_SCHEMES: Final = ("redis", "rediss", "unix")


async def open_store(
    url: str, namespace: str = "default", *, password: str = "", durable: bool = True
) -> Store:
    """Open a namespace of `file:FOLDER`, `redis://`, `rediss://` or `unix://SOCKET`.

    Args:
        url: where the store is.
        namespace: as Kubernetes writes them; agents of two namespaces never meet.
        password: of a Redis server, where the URL has none.
        durable: refuse a Redis server that could lose an acknowledged write.

    Raises:
        InvalidInputError: neither, or no namespace.
        StoreError: no answer, or not what was asked for.
    """
    if not NAMESPACE.fullmatch(namespace):
        msg = f"namespace: no name, got {shown(namespace)}; use at most 63 of a-z 0-9 -"
        raise InvalidInputError(msg)
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.path and not parts.netloc:
        from flagscale_workloads.agent.collaboration.sqlite_store.store import SqliteStore

        return await SqliteStore.open(namespace, Path(parts.path))
    if parts.scheme in REDIS_SCHEMES:
        from flagscale_workloads.agent.collaboration.redis_store.connection import RedisOptions
        from flagscale_workloads.agent.collaboration.redis_store.store import RedisStore

        options = RedisOptions(url, password, durable=durable)
        return await RedisStore.open(namespace, options)
    # Not the URL itself: it may hold a password.
    msg = f"store: no URL of one, got scheme {shown(parts.scheme)}; use file:FOLDER or redis://HOST"
    raise InvalidInputError(msg)
