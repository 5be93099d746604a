"""Which addresses a tool may be called at: the same answer for the matcher and for the operator."""

from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
# Clouds keep credentials there, outside of the link-local range.
_METADATA: Final = {ip_address("100.100.100.200"), ip_address("fd00:ec2::254")}
_NAT64: Final = ip_network("64:ff9b::/96")


def refused(
    host: str, address: str, internal_hosts: Collection[str], *, loopback: bool = False
) -> str | None:
    """Why `address`, which `host` of a URL resolved to, may not be connected to; None: it may.

    Check each address right before it is connected to, and again for every redirect: a name may
    resolve differently the next time. `internal_hosts` is spec.egress.internalHosts. `loopback`
    lets a named host be this machine itself, for matchers that run outside of a cluster.

    Raises:
        ValueError: `address` is no IP address.
    """
    at = _unwrapped(ip_address(address.partition("%")[0]))
    where = f"{host} is at {at}"
    if at.is_link_local or at in _METADATA:
        return f"{where}, a link-local or metadata address; tools may not be there"
    if at.is_loopback and not loopback:
        return f"{where}, the caller's own machine; tools may not be there"
    if at.is_multicast or at.is_unspecified or (at.is_reserved and not at.is_loopback):
        return f"{where}, which is no address of a server"
    if at.is_global or bare(host) in {bare(one) for one in internal_hosts}:
        return None
    return (
        f"{where}, inside the cluster or a private network; name it in spec.egress.internalHosts "
        "to allow it"
    )


def bare(host: str) -> str:
    """A host as it is compared: lower case, no brackets, no dot at its end."""
    return host.lower().removesuffix(".").strip("[]")


def _unwrapped(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped:
        return address.ipv4_mapped
    if address.sixtofour:
        return address.sixtofour
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else address
