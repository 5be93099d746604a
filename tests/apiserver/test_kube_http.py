import asyncio
from pathlib import Path
from typing import Any

import pytest

from flagscale_operator.controller.lease import LeaderElection
from flagscale_operator.errors import ApiError
from flagscale_operator.kube.budget import RequestBudget
from flagscale_operator.kube.connection import load_connection
from flagscale_operator.kube.http import KubeHttp
from flagscale_operator.kube.kinds import LEASE, LEASE_NAME, POD, SECRET, KubeKind

OTHER_UID = "00000000-0000-0000-0000-000000000000"
CONFIG_MAP = KubeKind("", "v1", "ConfigMap", "configmaps")


def config_map(namespace: str, name: str = "c", **data: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": "x"}},
        "data": data,
    }


async def test_apply_creates_then_changes_and_owns_its_fields(
    kube: KubeHttp, namespace: str
) -> None:
    await kube.apply(CONFIG_MAP, config_map(namespace, a="1"), force=True)
    body = await kube.apply(CONFIG_MAP, config_map(namespace, a="2"), force=True)

    assert body["data"] == {"a": "2"}
    assert [f["manager"] for f in body["metadata"]["managedFields"]] == ["flagscale/trainjob"]


async def test_apply_without_force_conflicts_with_another_manager(
    kube: KubeHttp, kubeconfig: Path, namespace: str
) -> None:
    other = KubeHttp.open(
        load_connection({"KUBECONFIG": str(kubeconfig)}),
        field_manager="somebody",
        budget=RequestBudget(rate_per_s=None),
        on_request=lambda *_: None,
    )
    await other.apply(CONFIG_MAP, config_map(namespace, a="theirs"), force=True)
    await other.close()

    with pytest.raises(ApiError) as error:
        await kube.apply(CONFIG_MAP, config_map(namespace, a="ours"), force=False)

    assert error.value.conflict
    assert ".data.a" in error.value.causes[0]


async def test_replace_is_fenced_by_the_version(kube: KubeHttp, namespace: str) -> None:
    old = await kube.create(CONFIG_MAP, config_map(namespace, a="1"))
    await kube.replace(CONFIG_MAP, {**old, "data": {"a": "2"}})

    with pytest.raises(ApiError) as error:
        await kube.replace(CONFIG_MAP, {**old, "data": {"a": "3"}})

    assert error.value.conflict


async def test_create_twice_is_a_conflict(kube: KubeHttp, namespace: str) -> None:
    await kube.create(CONFIG_MAP, config_map(namespace))

    with pytest.raises(ApiError) as error:
        await kube.create(CONFIG_MAP, config_map(namespace))

    assert (error.value.conflict, error.value.reason) == (True, "AlreadyExists")


async def test_a_missing_object_is_none_and_a_missing_kind_is_an_error(
    kube: KubeHttp, namespace: str
) -> None:
    assert await kube.get(POD, namespace, "none") is None
    for missing in (
        KubeKind("none.example.com", "v1", "None", "nones"),
        KubeKind("coordination.k8s.io", "v1", "None", "nones"),
    ):
        with pytest.raises(ApiError) as error:
            await kube.get(missing, namespace, "none")
        assert (error.value.status, error.value.reason) == (404, "KindNotFound")


async def test_an_invalid_object_is_422_naming_the_field(kube: KubeHttp, namespace: str) -> None:
    lease = {
        "apiVersion": LEASE.api_version,
        "kind": LEASE.kind,
        "metadata": {"name": "l", "namespace": namespace},
        "spec": {"leaseDurationSeconds": -1},
    }

    with pytest.raises(ApiError) as error:
        await kube.create(LEASE, lease)

    assert error.value.status == 422
    assert error.value.causes[0].startswith("spec.leaseDurationSeconds: ")


async def test_delete_only_takes_the_uid_it_names(kube: KubeHttp, namespace: str) -> None:
    body = await kube.create(CONFIG_MAP, config_map(namespace))
    uid = body["metadata"]["uid"]

    assert not await kube.delete(
        CONFIG_MAP, namespace, "c", uid="00000000-0000-0000-0000-000000000000"
    )
    assert await kube.delete(CONFIG_MAP, namespace, "c", uid=uid)
    assert not await kube.delete(CONFIG_MAP, namespace, "c", uid=uid)


async def test_list_selects_by_label(kube: KubeHttp, namespace: str) -> None:
    await kube.create(CONFIG_MAP, config_map(namespace))

    selected = await kube.list(CONFIG_MAP, namespace, label_selector="app=x")

    assert [b["metadata"]["name"] for b in selected] == ["c"]
    assert await kube.list(SECRET, namespace, label_selector="app=x") == []


async def test_a_released_lease_is_taken_by_the_next_at_once(
    kube: KubeHttp, namespace: str
) -> None:
    led: list[str] = []

    for identity in ("a", "b"):

        async def work(identity: str = identity) -> None:
            led.append(identity)

        election = LeaderElection(kube, namespace=namespace, identity=identity)
        await asyncio.wait_for(election.run_as_leader(work), 5)

    lease = await kube.get(LEASE, namespace, LEASE_NAME)
    assert led == ["a", "b"]
    assert lease is not None
    assert not lease["spec"].get("holderIdentity")
    assert lease["spec"]["leaseTransitions"] == 1
