"""Replicas that others run: every address that a name resolves to, as of a headless Service."""

import asyncio
import logging
import socket
from dataclasses import dataclass
from typing import Final

from flagscale_workloads.serve.replicas import Replica, ReplicaSet

_log = logging.getLogger(__name__)
INTERVAL_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Discovery:
    """Keeps the replicas equal to the addresses behind a name.

    DNS needs no permission, unlike a watch of EndpointSlices. A name that does not resolve has no
    replicas; an error of the resolver itself changes nothing, as the replicas may well be there.
    """

    replicas: ReplicaSet
    host: str
    port: int
    interval_s: float = INTERVAL_S

    async def run(self) -> None:
        """Look the name up until cancelled."""
        while True:
            addresses = await self.addresses()
            if addresses is not None:
                self.keep(addresses)
            await asyncio.sleep(self.interval_s)

    async def addresses(self) -> frozenset[str] | None:
        """What the name resolves to now; None when nobody can say."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            if error.errno in {socket.EAI_NONAME, socket.EAI_NODATA}:
                return frozenset()
            _log.warning("%s: cannot be resolved now (%s)", self.host, error)
            return None
        return frozenset(str(entry[4][0]) for entry in found)

    def keep(self, addresses: frozenset[str]) -> None:
        """Add what is new, remove what is gone; health probes decide who gets requests."""
        known = {replica.name for replica in self.replicas}
        for address in sorted(known - addresses):
            _log.info("replica %s: gone", address)
            self.replicas.remove(address)
        for address in sorted(addresses - known):
            _log.info("replica %s: found", address)
            self.replicas.add(Replica.at(address, address, self.port))
