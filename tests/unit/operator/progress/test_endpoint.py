import pytest

from flagscale_operator.kube.kinds import ENDPOINT_SLICE, RULES
from flagscale_operator.progress.endpoint import publish_endpoint
from support.fake_kube import FakeKube


@pytest.mark.parametrize(("address", "family"), [("10.0.0.1", "IPv4"), ("fd00::1", "IPv6")])
async def test_the_leader_becomes_the_only_endpoint(address: str, family: str) -> None:
    kube = FakeKube()

    await publish_endpoint(kube, namespace="sys", address="10.9.9.9", port=1)
    await publish_endpoint(kube, namespace="sys", address="fd00::9", port=1)
    await publish_endpoint(kube, namespace="sys", address=address, port=10443)

    (slice_,) = await kube.list(ENDPOINT_SLICE, "sys")
    assert slice_["addressType"] == family
    assert slice_["endpoints"] == [{"addresses": [address], "conditions": {"ready": True}}]
    assert slice_["ports"] == [{"name": "progress", "port": 10443, "protocol": "TCP"}]
    assert slice_["metadata"]["labels"]["kubernetes.io/service-name"] == "flagscale-progress"


async def test_its_slices_are_those_that_it_may_change() -> None:
    kube = FakeKube()

    await publish_endpoint(kube, namespace="sys", address="10.9.9.9", port=1)
    await publish_endpoint(kube, namespace="sys", address="fd00::9", port=1)

    allowed = {
        verb: rule.resource_names
        for rule in RULES
        if rule.kind is ENDPOINT_SLICE
        for verb in rule.verbs
    }
    (slice_,) = await kube.list(ENDPOINT_SLICE, "sys")
    assert slice_["metadata"]["name"] in allowed["patch"]
    assert allowed["delete"] == allowed["patch"]
    assert allowed["create"] == ()


async def test_a_loopback_address_is_not_published() -> None:
    kube = FakeKube()

    await publish_endpoint(kube, namespace="sys", address="127.0.0.1", port=10443)

    assert kube.calls == []
