"""Tools wired up: what is asked outside of Kubernetes, and whom the answers wake."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from flagscale_api.runtime.egress import AddressPolicy
from flagscale_operator.controller.queue import Key, KeyedQueue
from flagscale_operator.controller.runner import ReconcileObserver
from flagscale_operator.controller.view import ClusterView
from flagscale_operator.kube.client import Kube
from flagscale_operator.kube.kinds import AGENT_TOOL
from flagscale_operator.outside.addresses import Egress
from flagscale_operator.outside.inquiries import Inquiries
from flagscale_operator.outside.matcher_index import MatcherIndex
from flagscale_operator.outside.probe import Probe, Target, probe
from flagscale_operator.outside.remote_tools import Listing
from flagscale_operator.outside.source_listing import Offer, SourceLister, pace_s
from flagscale_operator.settings import Settings

PROBED_EVERY_S: Final = 300.0
FIRST_RETRY_S: Final = 10.0
PROBES_AT_ONCE: Final = 16
LISTS_AT_ONCE: Final = 4


@dataclass(frozen=True, slots=True)
class Outside:
    """Everything that is asked outside of Kubernetes."""

    probes: Inquiries[Target, Probe]
    listings: Inquiries[Offer, Listing]
    index: MatcherIndex

    async def run(self, observer: ReconcileObserver) -> None:
        """Ask until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.probes.run(workers=PROBES_AT_ONCE, observer=observer))
            group.create_task(self.listings.run(workers=LISTS_AT_ONCE, observer=observer))
            group.create_task(self.index.run())


def probe_pace_s(
    _: Target, newest: Probe, times: int, jitter: Callable[[], float] = random.random
) -> float:
    """A dead endpoint is looked at more often at first; never all of them at the same time."""
    dead = min(PROBED_EVERY_S, FIRST_RETRY_S * 2.0 ** min(times - 1, 10))
    return (PROBED_EVERY_S if newest.answers else dead) * (0.8 + 0.4 * jitter())


def make_outside(settings: Settings, kube: Kube, view: ClusterView, queue: KeyedQueue) -> Outside:
    """Wired to wake the objects that answers are about."""
    policy = AddressPolicy(loopback=settings.tool_loopback)

    async def look(target: Target) -> Probe:
        return await probe(target, Egress(policy, target.internal))

    def indexed(uids: set[str]) -> None:
        for where in view.agent_tools.identities():
            body = view.agent_tools.get(where)
            if body and body["metadata"].get("uid") in uids:
                queue.add(Key(AGENT_TOOL.kind, *where))

    lister = SourceLister(kube, policy)
    return Outside(
        probes=Inquiries(look, name="probe", pace_s=probe_pace_s, wake=queue.add),
        listings=Inquiries(
            lister.ask, name="listing", pace_s=pace_s, wake=queue.add, follow=lister.follow
        ),
        index=MatcherIndex(settings.effective_matcher_url, indexed),
    )
