"""Replicas that others run: every address that a name resolves to, or that a file lists."""

import asyncio
import logging
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flagscale_api.runtime.serve import DiscoverySpec
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
    return Discovery(replicas, spec.host or "", spec.port or 0)
