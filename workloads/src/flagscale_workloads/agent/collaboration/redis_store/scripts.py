"""Lua scripts: what must happen at once, with the server's clock."""

from collections.abc import Awaitable, Callable, Sequence
from importlib import resources
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError, ResponseError

from flagscale_workloads.agent.collaboration.errors import StoreError
from flagscale_workloads.agent.collaboration.redis_store.keys import Keys
from flagscale_workloads.agent.collaboration.redis_store.patience import patiently, refused

_PARTS = {"put": ("_environment",), "delete": ("_environment",)}


def source(name: str) -> str:
    """A script's text, after what it shares with others."""
    folder = resources.files(__package__) / "lua"
    names = ("_common", *_PARTS.get(name, ()), name)
    return "\n".join((folder / f"{one}.lua").read_text() for one in names)


class Part:
    """What the parts of the store share: a client, its keys, and how a script is run."""

    def __init__(self, client: Redis, keys: Keys, patience_s: float) -> None:
        self._client = client
        self._keys = keys
        self._patience_s = patience_s
        self._digests: dict[str, str] = {}

    async def run(self, name: str, keys: Sequence[str], *arguments: object) -> list[str]:
        """What the script returned: a word, and values.

        Raises:
            StoreError: no answer, or an error of the server.
        """
        texts = [str(one) for one in arguments]
        try:
            return await patiently(lambda: self._eval(name, keys, texts), self._patience_s)
        except (RedisError, OSError) as error:
            raise unavailable(error) from error

    async def ask(self, call: Callable[[], Awaitable[object]]) -> Any:  # noqa: ANN401
        """The answer to a plain command of the client.

        Raises:
            StoreError: no answer.
            ResponseError: the server refused it.
        """
        try:
            return await patiently(call, self._patience_s)
        except ResponseError:
            raise
        except (RedisError, OSError) as error:
            raise unavailable(error) from error

    async def _eval(self, name: str, keys: Sequence[str], texts: Sequence[str]) -> list[str]:
        try:
            digest = self._digests.get(name) or await self._load(name)
            return list(await self._client.evalsha(digest, len(keys), *keys, *texts))
        except NoScriptError:
            # The server was restarted: it keeps data, not scripts.
            digest = await self._load(name)
            return list(await self._client.evalsha(digest, len(keys), *keys, *texts))

    async def _load(self, name: str) -> str:
        digest = str(await self._client.script_load(source(name)))
        self._digests[name] = digest
        return digest


def unavailable(error: Exception) -> StoreError:
    """A client's error as ours."""
    if refused(error):
        return StoreError("Redis: does not let us in, got a wrong password or none; give the right")
    said = " ".join(str(error).split()) or type(error).__name__
    return StoreError(f"Redis: did not do it, got {said[:200]}; look at the server and its log")
