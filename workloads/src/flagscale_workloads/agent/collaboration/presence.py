"""Who is there: agents with a lease each."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from flagscale_workloads.agent.collaboration.errors import LeaseEndedError, StoreError
from flagscale_workloads.agent.collaboration.limits import (
    LEASE_S,
    check_name,
    check_seconds,
    encode_info,
)
from flagscale_workloads.agent.collaboration.participant import Participant, milliseconds
from flagscale_workloads.agent.collaboration.store import AgentRow
from flagscale_workloads.agent.collaboration.values import Agent, AgentInfo, Session

BEATS_PER_LEASE: Final = 3
_log = logging.getLogger(__name__)


class Presence(Participant):
    """Part of the collaborator: registration, heartbeats, who else lives."""

    async def register(
        self, info: AgentInfo, *, lease_s: float = 15.0, take_over: bool = False
    ) -> Session:
        """Become an agent; gone `lease_s` seconds after the last heartbeat.

        Registering again while the lease runs changes what the agent tells about itself.
        `take_over` ends another process that has the name, and its claims.

        Raises:
            InvalidInputError: a limit or a type.
            NameTakenError: somebody else has the name.
            LimitReachedError: too many agents.
            StoreError: no answer.
        """
        record = encode_info(info, self.limits.record_bytes)
        lease_ms = milliseconds(check_seconds(lease_s, "lease_s", LEASE_S))
        number = await self.store.register(
            info.name,
            record,
            self.process,
            lease_ms,
            take_over=take_over,
            limit=self.limits.agents,
        )
        self.session = Session(info.name, number, lease_s)
        return self.session

    async def heartbeat(self) -> None:
        """Start the own lease anew, and nobody else's.

        Raises:
            LeaseEndedError: too late, or another process took the name.
        """
        me = self.me
        await self.store.heartbeat(me.name, me.number, milliseconds(me.lease_s))

    async def leave(self) -> bool:
        """End the own lease and all own claims; whether it still ran."""
        me = self.me
        self.session = None
        return await self.store.leave(me.name, me.number)

    @asynccontextmanager
    async def beating(self) -> AsyncIterator[asyncio.Event]:
        """Heartbeats while the block runs; the event is set once the lease has ended."""
        ended = asyncio.Event()
        task = asyncio.create_task(self._beat(self.me, ended))
        try:
            yield ended
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def agents(self) -> tuple[Agent, ...]:
        """All that live, by name."""
        return tuple(_agent(row) for row in await self.store.agents())

    async def agent(self, name: str) -> Agent | None:
        """One that lives."""
        row = await self.store.agent(check_name(name, "agent"))
        return _agent(row) if row else None

    async def _beat(self, me: Session, ended: asyncio.Event) -> None:
        while True:
            await asyncio.sleep(me.lease_s / BEATS_PER_LEASE)
            try:
                await self.store.heartbeat(me.name, me.number, milliseconds(me.lease_s))
            except LeaseEndedError:
                ended.set()
                return
            except StoreError as error:
                # The lease may survive an outage: only the store can tell.
                _log.warning("agent %s: no heartbeat: %s", me.name, error)


def _agent(row: AgentRow) -> Agent:
    told = json.loads(row.record)
    info = AgentInfo(
        row.name, told["description"], tuple(told["skills"]), told["url"], told["details"]
    )
    return Agent(info, row.session, row.left_ms / 1000)
