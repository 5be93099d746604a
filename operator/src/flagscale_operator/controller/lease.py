"""Leader election over a Lease, with the rules and figures of client-go.

Whether the leader is dead is judged by our own clock alone: from when we last *saw* its record
change, never by the time it wrote. A candidate takes over after a whole lease duration without a
change; the leader gives up a shorter renew deadline after it last *began* a renewal that went
through. Writes are fenced by resourceVersion, so of two candidates one gets a conflict. Hence
there are never two leaders, as long as clocks run at about the same speed.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flagscale_operator.errors import FlagScaleError
from flagscale_operator.kube.client import Kube, Manifest
from flagscale_operator.kube.kinds import LEASE, LEASE_NAME

_log = logging.getLogger(__name__)
Sleep = Callable[[float], Awaitable[None]]


class LeadershipLost(FlagScaleError):  # noqa: N818 - it says what happened
    """The Lease could not be renewed in time: the process must end at once."""


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """Durations in seconds; the defaults are controller-runtime's."""

    lease_s: float = 15.0
    renew_deadline_s: float = 10.0
    retry_s: float = 2.0
    jitter: float = 1.2


class LeaderElection:
    """One candidate for a Lease."""

    def __init__(
        self,
        kube: Kube,
        *,
        namespace: str,
        identity: str,
        name: str = LEASE_NAME,
        times: LeaseTimes | None = None,
        clock: Callable[[], float] | None = None,
        sleep: Sleep = asyncio.sleep,
        wall_clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        jitter: Callable[[], float] = random.random,
        on_change: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self._kube = kube
        self._namespace = namespace
        self._identity = identity
        self._name = name
        self._times = times or LeaseTimes()
        self._clock = clock or asyncio.get_running_loop().time
        self._sleep = sleep
        self._wall_clock = wall_clock
        self._jitter = jitter
        self._on_change = on_change
        self._seen: dict[str, Any] | None = None
        self._seen_at = 0.0
        self._renewed_at = 0.0
        self._leads = False

    @property
    def leads(self) -> bool:
        """Whether this candidate holds the Lease and renewed it in time."""
        return self._leads and self._clock() < self._renewed_at + self._times.renew_deadline_s

    async def run_as_leader(self, work: Callable[[], Awaitable[None]]) -> None:
        """Wait until this candidate leads, do the work, and release the Lease when it ends.

        Raises:
            LeadershipLost: the Lease was lost while working; the work was cancelled, and the
                Lease is left alone.
        """
        await self._acquire()
        self._set_leads(leads=True)
        working = asyncio.ensure_future(work())
        renewing = asyncio.ensure_future(self._renew_until_lost())
        try:
            await asyncio.wait({working, renewing}, return_when=asyncio.FIRST_COMPLETED)
            if renewing.done() and not working.done():
                renewing.result()
            working.result()
        finally:
            await self._end(working, renewing)

    async def _end(self, working: asyncio.Future[None], renewing: asyncio.Future[None]) -> None:
        """Let the work drain while the Lease is still renewed, then release it.

        Work that outlives a lost Lease is left to the end of the process: a standby takes over a
        lease duration after the last renewal, and half of what is left until then may be used.
        """
        working.cancel()
        await asyncio.wait({working, renewing}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            grace_s = (self._times.lease_s - self._times.renew_deadline_s) / 2
            await asyncio.wait({working}, timeout=grace_s)
        lost = renewing.done()
        self._set_leads(leads=False)
        renewing.cancel()
        ended = [task for task in (working, renewing) if task.done() or task is renewing]
        await asyncio.gather(*ended, return_exceptions=True)
        # Released only after the work has ended, or the standby would work beside us.
        if not lost:
            await self._release()

    def _set_leads(self, *, leads: bool) -> None:
        self._leads = leads
        self._on_change(leads)

    async def _acquire(self) -> None:
        while not await self._try_to_hold():
            await self._sleep(self._times.retry_s * (1 + self._times.jitter * self._jitter()))

    async def _renew_until_lost(self) -> None:
        while True:
            await self._sleep(self._times.retry_s)
            left_s = self._renewed_at + self._times.renew_deadline_s - self._clock()
            try:
                async with asyncio.timeout(max(0.0, left_s)):
                    held = await self._try_to_hold()
            except TimeoutError:
                held = False
            # Another's name in the record ends it at once; an unreachable server at the deadline.
            if not held and (self._holder() != self._identity or not self.leads):
                msg = f"Lease {self._namespace}/{self._name}: lost to {self._holder() or 'nobody'}"
                raise LeadershipLost(msg)

    async def _try_to_hold(self) -> bool:
        """One attempt to acquire or renew; True when the Lease is ours afterwards."""
        began = self._clock()
        try:
            lease = await self._kube.get(LEASE, self._namespace, self._name)
            self._observe(lease)
            if lease is None:
                written = await self._kube.create(LEASE, self._record(None))
            elif self._may_take():
                written = await self._kube.replace(LEASE, self._record(lease))
            else:
                return False
        except FlagScaleError as error:
            _log.warning("Lease %s/%s: %s", self._namespace, self._name, error)
            return False
        self._observe(written)
        self._renewed_at = began
        return True

    def _observe(self, lease: Manifest | None) -> None:
        spec = dict(lease.get("spec") or {}) if lease else None
        if spec != self._seen:
            self._seen, self._seen_at = spec, self._clock()

    def _holder(self) -> str:
        return (self._seen or {}).get("holderIdentity") or ""

    def _may_take(self) -> bool:
        # The holder's own duration counts: it may run with other settings than ours.
        lease_s = float((self._seen or {}).get("leaseDurationSeconds") or self._times.lease_s)
        expired = self._clock() >= self._seen_at + lease_s
        return self._holder() in ("", self._identity) or expired

    def _record(self, lease: Manifest | None, *, release: bool = False) -> Manifest:
        spec = dict((lease or {}).get("spec") or {})
        now = self._wall_clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        if spec.get("holderIdentity") != self._identity:
            spec["acquireTime"] = now
            spec["leaseTransitions"] = spec.get("leaseTransitions", -1) + 1
        spec |= {
            "holderIdentity": "" if release else self._identity,
            "leaseDurationSeconds": 1 if release else max(1, round(self._times.lease_s)),
            "renewTime": now,
        }
        metadata = (lease or {}).get("metadata") or {
            "name": self._name,
            "namespace": self._namespace,
        }
        kind = {"apiVersion": LEASE.api_version, "kind": LEASE.kind}
        return {**kind, "metadata": metadata, "spec": spec}

    async def _release(self) -> None:
        try:
            lease = await self._kube.get(LEASE, self._namespace, self._name)
            if lease and (lease.get("spec") or {}).get("holderIdentity") == self._identity:
                await self._kube.replace(LEASE, self._record(lease, release=True))
        except FlagScaleError as error:
            _log.warning("Lease %s/%s: not released: %s", self._namespace, self._name, error)
