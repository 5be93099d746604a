"""Lua scripts: what must happen at once, with the server's clock."""

from collections.abc import Awaitable, Sequence
from importlib import resources
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError, ResponseError

from flagscale_workloads.agent.collaboration.errors import StoreError
from flagscale_workloads.agent.collaboration.redis_store.keys import Keys

_PARTS = {"put": ("_environment",), "delete": ("_environment",)}


def source(name: str) -> str:
    """A script's text, after what it shares with others."""
    folder = resources.files(__package__) / "lua"
    names = ("_common", *_PARTS.get(name, ()), name)
    return "\n".join((folder / f"{one}.lua").read_text() for one in names)


class Part:
    """What the parts of the store share: a client, its keys, and how a script is run."""

    def __init__(self, client: Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self._sources: dict[str, str] = {}
        self._digests: dict[str, str] = {}

    async def run(self, name: str, keys: Sequence[str], *arguments: object) -> list[str]:
        """What the script returned: a word, and values.

        Raises:
            StoreError: no answer, or an error of the server.
        """
        texts = [str(one) for one in arguments]
        try:
            if name not in self._digests:
                await self._load(name)
            try:
                return await self._eval(name, keys, texts)
            except NoScriptError:
                # The server was restarted: it keeps data, not scripts.
                await self._load(name)
                return await self._eval(name, keys, texts)
        except (RedisError, OSError) as error:
            raise unavailable(error) from error

    async def ask(self, answer: Awaitable[object]) -> Any:  # noqa: ANN401
        """The answer to a plain command of the client.

        Raises:
            StoreError: no answer.
            ResponseError: the server refused it.
        """
        try:
            return await answer
        except ResponseError:
            raise
        except (RedisError, OSError) as error:
            raise unavailable(error) from error

    async def _load(self, name: str) -> None:
        text = self._sources.setdefault(name, source(name))
        self._digests[name] = str(await self._client.script_load(text))

    async def _eval(self, name: str, keys: Sequence[str], texts: Sequence[str]) -> list[str]:
        digest = self._digests[name]
        answer = await self._client.evalsha(digest, len(keys), *keys, *texts)
        return list(answer)


def unavailable(error: Exception) -> StoreError:
    """A client's error as ours."""
    said = " ".join(str(error).split()) or type(error).__name__
    return StoreError(f"Redis: did not do it, got {said[:200]}; look at the server and its log")
