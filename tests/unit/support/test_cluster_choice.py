import pytest

from support.cluster.choice import choose
from support.cluster.errors import ClusterError
from support.cluster.machine import Machine, first_address

NOTHING = Machine(root=False, debian=False, docker=False, kind=False)
DEBIAN_ROOT = Machine(root=True, debian=True, docker=False, kind=False)
DOCKER = Machine(root=False, debian=False, docker=True, kind=True)


def test_docker_and_kind_are_used_where_they_are() -> None:
    assert choose(DOCKER, None) == "kind"


def test_without_docker_the_cluster_is_native() -> None:
    assert choose(DEBIAN_ROOT, None) == "native"


def test_docker_without_kind_falls_back_to_native() -> None:
    assert choose(Machine(root=True, debian=True, docker=True, kind=False), None) == "native"


def test_a_wish_wins_over_what_the_machine_has() -> None:
    assert choose(DOCKER, "current") == "current"


def test_an_unknown_wish_names_what_is_allowed() -> None:
    with pytest.raises(ClusterError, match="got 'minikube'; choose one of native, kind, current"):
        choose(DOCKER, "minikube")


def test_a_wish_for_kind_without_it_is_told_what_it_lacks() -> None:
    with pytest.raises(ClusterError, match="got no Docker engine and no kind program"):
        choose(DEBIAN_ROOT, "kind")


def test_a_machine_that_can_do_neither_is_told_what_it_lacks() -> None:
    with pytest.raises(ClusterError, match="got no root rights and no Debian with apt-get"):
        choose(NOTHING, None)


def test_the_own_address_is_not_that_of_a_pod_bridge() -> None:
    bridge = '{"ifname": "cni0", "addr_info": [{"local": "10.244.0.1"}]}'
    card = '{"ifname": "eth0", "addr_info": [{"local": "192.0.2.2"}]}'
    assert first_address(f"[{bridge}, {card}]") == "192.0.2.2"


def test_a_machine_without_an_address_has_none() -> None:
    assert first_address("[]") is None
