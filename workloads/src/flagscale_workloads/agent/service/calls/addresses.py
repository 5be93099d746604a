"""Which addresses a tool may have (pure)."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
_TRANSLATED: Final = ip_network("64:ff9b::/96")
# What Python calls global although it leads into a cloud or a cluster.
_NEVER: Final[tuple[Network, ...]] = (
    ip_network("168.63.129.16/32"),  # Azure's host
    ip_network("fd00:ec2::254/128"),  # AWS's metadata
)


class ForbiddenAddressError(Exception):
    """The address must not be called."""


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """What is allowed beyond public addresses."""

    loopback: bool = False
    """Tools on this machine: for local use only."""
    networks: tuple[Network, ...] = ()
    """Private networks that any tool may be in."""

    def check(self, host: str, addresses: Iterable[Address], internal: Collection[str]) -> None:
        """All that a host resolves to; `internal` are the hosts that the resource allows inside.

        So a public name that leads to a private address is refused, as long as nobody wrote it
        down, and so is a redirect to one.

        Raises:
            ForbiddenAddressError: one of them must not be called.
        """
        inside = host.lower() in {one.lower() for one in internal}
        for address in addresses:
            for one in _meanings(address):
                why = self._refusal(one, inside=inside)
                if why:
                    raise ForbiddenAddressError(f"{host}: {why}, got {address}")

    def _refusal(self, address: Address, *, inside: bool) -> str:
        if address.is_loopback:
            return "" if self.loopback else "is a loopback address"
        if address.is_link_local or any(address in network for network in _NEVER):
            return "is a link-local or metadata address"
        if address.is_multicast or address.is_unspecified:
            return "is no address of one host"
        if address.is_global or inside or any(address in network for network in self.networks):
            return ""
        return "is a private or cluster-internal address, and spec.egress.internalHosts lacks the host"


def literal(host: str) -> Address | None:
    """The address that a host is, if it is one."""
    try:
        return ip_address(host.strip("[]"))
    except ValueError:
        return None


def _meanings(address: Address) -> tuple[Address, ...]:
    """The address, and the IPv4 address that it stands for."""
    if isinstance(address, IPv4Address):
        return (address,)
    if address.ipv4_mapped:
        return (address.ipv4_mapped,)
    if address.sixtofour:
        return (address, address.sixtofour)
    if address in _TRANSLATED:
        return (IPv4Address(int(address) & 0xFFFFFFFF),)
    return (address,)
