"""Collaborators for tests, and waiting for what they see."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from flagscale_workloads.agent.collaboration import AgentInfo, Collaborator, Limits

PATIENCE_S = 20
SLACK_S = 1.5
"""What a busy machine may add before a change is seen."""


class Team:
    """Collaborators of one namespace."""

    def __init__(self, url: str, namespace: str, stack: AsyncExitStack) -> None:
        self.url = url
        self.namespace = namespace
        self.stack = stack

    async def observer(self, limits: Limits | None = None) -> Collaborator:
        """One that is not registered."""
        joining = Collaborator.connect(self.url, self.namespace, limits=limits)
        return await self.stack.enter_async_context(joining)

    async def agent(
        self, name: str, *, lease_s: float = 60.0, limits: Limits | None = None
    ) -> Collaborator:
        """A registered one."""
        collaborator = await self.observer(limits)
        await collaborator.register(AgentInfo(name), lease_s=lease_s)
        return collaborator


async def until(holds: Callable[[], Awaitable[bool]], patience_s: float = PATIENCE_S) -> float:
    """Wait for something; seconds that it took."""
    started = time.monotonic()
    while not await holds():
        if time.monotonic() - started > patience_s:
            msg = f"not within {patience_s} s"
            raise TimeoutError(msg)
        await asyncio.sleep(0.005)
    return time.monotonic() - started
