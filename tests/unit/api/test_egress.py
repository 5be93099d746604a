"""Which addresses tools may have."""

from ipaddress import IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flagscale_api.runtime.egress import AddressPolicy, ForbiddenAddressError, literal

PUBLIC = ("8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8")
PRIVATE = ("10.0.0.1", "192.168.1.1", "172.16.0.9", "100.64.0.1", "fd00::1", "64:ff9b::a00:1")
NEVER = (
    "169.254.169.254",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "fe80::1",
    "fd00:ec2::254",
    "100.100.100.200",
    "168.63.129.16",
    "127.0.0.1",
    "127.9.9.9",
    "::1",
    "::ffff:127.0.0.1",
    "0.0.0.0",  # noqa: S104
    "::",
    "255.255.255.255",
    "224.0.0.1",
    "ff02::1",
)


def allowed(address: str, *, named: bool, policy: AddressPolicy = AddressPolicy()) -> bool:  # noqa: B008
    try:
        policy.check("Host.example.", [ip_address(address)], ["host.example"] if named else [])
    except ForbiddenAddressError:
        return False
    return True


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_need_no_name(address: str) -> None:
    assert allowed(address, named=False)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_need_a_name(address: str) -> None:
    assert not allowed(address, named=False)
    assert allowed(address, named=True)


@pytest.mark.parametrize("address", NEVER)
def test_some_addresses_are_never_called(address: str) -> None:
    assert not allowed(address, named=False)
    assert not allowed(address, named=True)


def test_one_forbidden_address_forbids_the_host() -> None:
    addresses = [ip_address("8.8.8.8"), ip_address("10.0.0.1")]
    with pytest.raises(ForbiddenAddressError, match=r"h: is a private .*, got 10\.0\.0\.1"):
        AddressPolicy().check("h", addresses, [])


def test_loopback_and_networks_are_for_those_who_start_the_process() -> None:
    policy = AddressPolicy(loopback=True, networks=(ip_network("10.0.0.0/8"),))
    assert allowed("127.0.0.1", named=False, policy=policy)
    assert allowed("10.1.2.3", named=False, policy=policy)
    assert not allowed("192.168.1.1", named=False, policy=policy)
    assert not allowed("169.254.169.254", named=True, policy=policy)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_in_ipv6_clothes_is_judged_as_itself(address: object) -> None:
    plain = str(address)
    for clothed in (f"::ffff:{plain}", str(IPv6Address(f"64:ff9b::{plain}"))):
        for named in (True, False):
            assert allowed(clothed, named=named) == allowed(plain, named=named)


def test_literals_are_told_from_names() -> None:
    assert literal("[::1]") == ip_address("::1")
    assert literal("10.0.0.1") == ip_address("10.0.0.1")
    assert literal("example.org") is None
