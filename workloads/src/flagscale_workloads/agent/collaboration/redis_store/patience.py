"""Repeats a call while a server is away: all calls can be repeated, scripts see a nonce."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from redis.exceptions import AuthenticationError, AuthorizationError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

PAUSE_S: Final = (0.01, 0.5)
"""Between two tries, growing; each is drawn at random below it."""
AWAY: Final = (RedisConnectionError, RedisTimeoutError, OSError)
REFUSED: Final = (AuthenticationError, AuthorizationError)
T = TypeVar("T")


async def patiently(call: Callable[[], Awaitable[T]], patience_s: float) -> T:
    """The call's result; its last error, once it has failed for `patience_s` seconds."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + patience_s
    pause_s, longest_s = PAUSE_S
    while True:
        try:
            return await call()
        except AWAY as error:
            if refused(error) or loop.time() > ends:
                raise
        await asyncio.sleep(pause_s * random.uniform(0.5, 1))  # noqa: S311
        pause_s = min(pause_s * 2, longest_s)


def refused(error: BaseException) -> bool:
    """Whether a server answered, and does not let us in."""
    return isinstance(error, REFUSED) or isinstance(error.__cause__, REFUSED)
