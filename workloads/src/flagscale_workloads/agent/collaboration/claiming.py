"""The sole right to something, with fencing tokens.

Source of the tokens: Kleppmann, How to do distributed locking (2016).
"""

import asyncio
import random
from typing import Final

from flagscale_workloads.agent.collaboration.errors import ClaimHeldError
from flagscale_workloads.agent.collaboration.limits import (
    LEASE_S,
    WAIT_S,
    check_name,
    check_seconds,
)
from flagscale_workloads.agent.collaboration.participant import Participant, milliseconds
from flagscale_workloads.agent.collaboration.store import ClaimRow
from flagscale_workloads.agent.collaboration.values import Claim

PAUSE_S: Final = (0.005, 0.25)
"""Between two tries of one who waits, growing; each is drawn at random below it."""


class Claiming(Participant):
    """Part of the collaborator: claims."""

    async def claim(
        self, resource: str, *, at_most_s: float | None = None, wait_s: float = 0.0
    ) -> Claim:
        """Have something for oneself, while the own lease runs and at most `at_most_s` seconds.

        Waits up to `wait_s` seconds for who has it. Claiming again what one has renews it under
        the same token.

        Raises:
            InvalidInputError: a limit.
            ClaimHeldError: another agent has it.
            LeaseEndedError: the own lease has ended.
            LimitReachedError: too many claims.
            StoreError: no answer.
        """
        me, name = self.me, check_name(resource, "resource")
        most_s = 0.0 if at_most_s is None else check_seconds(at_most_s, "at_most_s", LEASE_S)
        loop = asyncio.get_running_loop()
        ends = loop.time() + check_seconds(wait_s, "wait_s", WAIT_S)
        pause_s, longest_s = PAUSE_S
        while True:
            try:
                row = await self.store.claim(
                    name, me.name, me.number, milliseconds(most_s), self.limits.claims
                )
            except ClaimHeldError:
                left_s = ends - loop.time()
                if left_s <= 0:
                    raise
            else:
                return _claim(row)
            # Random, or all who wait would ask at the same moment.
            await asyncio.sleep(min(left_s, pause_s * random.uniform(0.5, 1)))  # noqa: S311
            pause_s = min(pause_s * 2, longest_s)

    async def release(self, claim: Claim) -> bool:
        """Give it back; whether it was still held under this token."""
        return await self.store.release(claim.resource, claim.token)

    async def holder(self, resource: str) -> Claim | None:
        """Who has it."""
        row = await self.store.holder(check_name(resource, "resource"))
        return _claim(row) if row else None


def _claim(row: ClaimRow) -> Claim:
    return Claim(row.resource, row.holder, row.token, row.left_ms / 1000)
