"""Which addresses a tool may have: the same answer for the matcher and for the operator (pure)."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
_NAT64: Final = ip_network("64:ff9b::/96")
# Where clouds keep credentials, outside of the link-local range.
_METADATA: Final[frozenset[Address]] = frozenset(
    map(ip_address, ("168.63.129.16", "100.100.100.200", "fd00:ec2::254"))
)


class ForbiddenAddressError(Exception):
    """The address must not be called."""


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """What is allowed beyond public addresses."""

    loopback: bool = False
    """Tools on this machine: for use outside of a cluster only."""
    networks: tuple[Network, ...] = ()
    """Private networks that any tool may be in."""

    def check(self, host: str, addresses: Iterable[Address], internal: Collection[str]) -> None:
        """All that a host of a URL resolves to; `internal` is spec.egress.internalHosts.

        A public name that leads to a private address is refused, unless somebody wrote it down,
        and so is a redirect to one. Connect to the addresses that were checked, not to the name:
        it may resolve differently the next time.

        Raises:
            ForbiddenAddressError: one of them must not be called.
        """
        named = bare(host) in {bare(one) for one in internal}
        for address in addresses:
            for one in _meanings(address):
                why = self._refusal(one, named=named)
                if why:
                    raise ForbiddenAddressError(f"{host}: {why}, got {address}")

    def _refusal(self, address: Address, *, named: bool) -> str:
        if address.is_loopback:
            return "" if self.loopback else "is a loopback address"
        if address.is_link_local or address in _METADATA:
            return "is a link-local or metadata address"
        if address.is_multicast or address.is_unspecified or address.is_reserved:
            return "is no address of one host"
        if address.is_global or named or any(address in one for one in self.networks):
            return ""
        return "is a private or cluster-internal address; name it in spec.egress.internalHosts"


def literal(host: str) -> Address | None:
    """The address that a host is, if it is one."""
    try:
        return ip_address(host.strip("[]"))
    except ValueError:
        return None


def bare(host: str) -> str:
    """A host as it is compared: lower case, no brackets, no dot at its end."""
    return host.lower().removesuffix(".").strip("[]")


def _meanings(address: Address) -> tuple[Address, ...]:
    """The address, or the IPv4 address that it stands for; of 6to4 both."""
    if isinstance(address, IPv4Address):
        return (address,)
    if address.ipv4_mapped:
        return (address.ipv4_mapped,)
    if address.sixtofour:
        return (address, address.sixtofour)
    return (IPv4Address(int(address) & 0xFFFFFFFF),) if address in _NAT64 else (address,)
