"""Replicas that others run: every address that a name resolves to, or that a file lists."""

import asyncio
import itertools
import logging
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from flagscale_api.runtime.serve import DiscoverySpec
from flagscale_workloads.serve.replicas import Replica, ReplicaSet

_log = logging.getLogger(__name__)
INTERVAL_S: Final = 1.0
EARLY_EVERY: Final = 5
"""Rounds between two looks for replicas that start, while others serve."""
EARLY_FROM: Final = 2
"""Rounds before the first of them, in which a pod that starts beside this one gets its address."""


@dataclass(slots=True)
class Discovery:
    """Keeps the replicas equal to the addresses behind a name.

    DNS needs no permission, unlike a watch of EndpointSlices. A name that does not resolve has no
    replicas; an error of the resolver itself changes nothing, as the replicas may well be there.

    A DNS server remembers for seconds who was ready, and that nobody was. So replicas are taken in
    by `early_host` while they start, and a probe finds them ready in the second in which they are.
    They leave by `host`, which forgets those that are about to end while they still serve.

    Who asks for `early_host` before it has any address has an empty answer for as long as the
    server remembers it, 5 to 30 s. So a gateway that starts at the same time as its engines looks
    for ready ones only, at first.
    """

    replicas: ReplicaSet
    host: str
    port: int
    early_host: str | None = None
    interval_s: float = INTERVAL_S
    _present: frozenset[str] = frozenset()
    """All that start or serve or end, as last seen."""
    _served: set[str] = field(default_factory=set)
    """Those of them that were ready once: if they are not any more, they end."""

    async def run(self) -> None:
        """Look the names up until cancelled."""
        for turn in itertools.count():
            nobody = not any(replica.ready for replica in self.replicas)
            early = turn >= EARLY_FROM and (nobody or turn % EARLY_EVERY == 0)
            await self.look(early=early)
            await asyncio.sleep(self.interval_s)

    async def look(self, *, early: bool) -> None:
        """One round; `early`: also for who starts."""
        ready = await self.addresses(self.host)
        present: frozenset[str] | None = self._present
        if early and self.early_host:
            present = await self.addresses(self.early_host)
        if ready is not None and present is not None:
            self._present = present
            self._served = (self._served & present) | ready
            self.keep(ready | (present - self._served))

    async def addresses(self, host: str) -> frozenset[str] | None:
        """What a name resolves to now; None when nobody can say."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, self.port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            if error.errno in {socket.EAI_NONAME, socket.EAI_NODATA}:
                return frozenset()
            _log.warning("%s: cannot be resolved now (%s)", host, error)
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


@dataclass(frozen=True, slots=True)
class FileDiscovery:
    """Keeps the replicas equal to the lines `address:port` of a file, as a machine without DNS has.

    A file that is not there lists nothing; a line that is no address is told and left out.
    """

    replicas: ReplicaSet
    path: Path
    interval_s: float = INTERVAL_S

    async def run(self) -> None:
        """Read the file until cancelled."""
        while True:
            addresses = self.addresses()
            if addresses is not None:
                self.keep(addresses)
            await asyncio.sleep(self.interval_s)

    def addresses(self) -> frozenset[str] | None:
        """What the file lists now; None when nobody can say."""
        try:
            lines = self.path.read_text().split()
        except FileNotFoundError:
            return frozenset()
        except (OSError, ValueError) as error:
            _log.warning("%s: cannot be read now (%s)", self.path, error)
            return None
        wrong = frozenset(line for line in lines if not _is_address(line))
        for line in wrong:
            _log.warning("%s: is no address:port, got %.80s", self.path, line)
        return frozenset(lines) - wrong

    def keep(self, addresses: frozenset[str]) -> None:
        """Add what is new, remove what is gone; health probes decide who gets requests."""
        known = {replica.name for replica in self.replicas}
        for address in sorted(known - addresses):
            self.replicas.remove(address)
        for address in sorted(addresses - known):
            host, _, port = address.rpartition(":")
            self.replicas.add(Replica.at(address, host, int(port)))


def _is_address(line: str) -> bool:
    host, _, port = line.rpartition(":")
    return bool(host) and port.isdecimal() and len(port) <= 5 and 0 < int(port) < 65536


def discovery_of(replicas: ReplicaSet, spec: DiscoverySpec) -> Discovery | FileDiscovery:
    """What finds the replicas that a configuration names."""
    if spec.file:
        return FileDiscovery(replicas, Path(spec.file))
    return Discovery(replicas, spec.host or "", spec.port or 0, spec.early_host)
