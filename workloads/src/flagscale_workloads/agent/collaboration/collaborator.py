"""One agent's part in a team: presence, claims, messages, environment, hand-off."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from flagscale_workloads.agent.collaboration.a2a.outcome import HandOff, Outcome
from flagscale_workloads.agent.collaboration.claiming import Claiming
from flagscale_workloads.agent.collaboration.environment import Environment
from flagscale_workloads.agent.collaboration.errors import HandOffError
from flagscale_workloads.agent.collaboration.limits import Limits
from flagscale_workloads.agent.collaboration.messaging import Messaging
from flagscale_workloads.agent.collaboration.opening import open_store
from flagscale_workloads.agent.collaboration.presence import Presence
from flagscale_workloads.agent.collaboration.values import Json


class Collaborator(Presence, Claiming, Messaging, Environment):
    """All of it over one store. One per agent and event loop; safe for many tasks."""

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        url: str,
        namespace: str = "default",
        *,
        password: str = "",
        durable: bool = True,
        limits: Limits | None = None,
    ) -> AsyncIterator["Collaborator"]:
        """Open a store for a block; see `open_store` for the arguments.

        Raises:
            InvalidInputError: no URL of a store, or no namespace.
            StoreError: no answer, or a store that could lose what it acknowledges.
        """
        store = await open_store(url, namespace, password=password, durable=durable)
        try:
            yield cls(store, limits or Limits())
        finally:
            await store.close()

    async def hand_off(self, agent: str, task: Json, how: HandOff | None = None) -> Outcome:
        """Give a task to a living agent over A2A and wait for what comes of it.

        Raises:
            HandOffError: no such agent, not reachable, not allowed, or it did not end in time.
        """
        last: Outcome | None = None
        async for outcome in self.hand_off_stream(agent, task, how):
            last = outcome
        if last is None or not last.ended:
            state = last.state if last else "nothing"
            msg = f"agent {agent}: ended its answer early, got {state}; look at the agent's log"
            raise HandOffError(msg)
        return last

    async def hand_off_stream(
        self, agent: str, task: Json, how: HandOff | None = None
    ) -> AsyncIterator[Outcome]:
        """The same, with what is known so far after each step.

        Raises:
            HandOffError: as `hand_off`.
        """
        from flagscale_workloads.agent.collaboration.a2a.client import hand_off

        found = await self.agent(agent)
        if found is None:
            msg = f"agent {agent}: not there, got no lease that runs; see agents() for who is"
            raise HandOffError(msg)
        if not found.info.url:
            msg = f"agent {agent}: takes no tasks, got no url in its registration; send a message"
            raise HandOffError(msg)
        async for outcome in hand_off(found.info, task, how or HandOff()):
            yield outcome
