"""The matcher's objects are put right, whatever has become of them."""

from typing import Any

import pytest

from flagscale_api import keys
from flagscale_operator.errors import ApiError, TransientError
from flagscale_operator.kinds.tool_matcher.keeper import (
    LOOK_EVERY_S,
    MatcherKeeper,
    matcher_key,
)
from flagscale_operator.kinds.tool_matcher.render import KEPT
from flagscale_operator.kinds.tool_matcher.wanted import MatcherWanted
from flagscale_operator.kube.kinds import (
    DEPLOYMENT,
    MATCHER_NAME,
    OPERATOR_NAME,
    POD_DISRUPTION_BUDGET,
    SERVICE,
)
from support.fake_events import Events
from support.fake_kube import FakeKube

NAMESPACE = "flagscale-system"
KEY = matcher_key(NAMESPACE)
ONE, TWO = MatcherWanted(image="m:1"), MatcherWanted(image="m:1", replicas=2)
WRITES = {"apply", "delete", "create", "replace"}
OPERATOR = {"metadata": {"namespace": NAMESPACE, "name": OPERATOR_NAME}, "spec": {}}


def keeper(
    kube: FakeKube, wanted: MatcherWanted | None = TWO, events: Events | None = None
) -> MatcherKeeper:
    return MatcherKeeper(kube=kube, events=events or Events(), wanted=wanted, watch_namespaces=())


def writes(kube: FakeKube) -> list[tuple[str, str, str]]:
    found = [(c.verb, c.kind, c.name) for c in kube.calls if c.verb in WRITES]
    kube.calls.clear()
    return found


async def test_a_second_look_writes_nothing() -> None:
    kube = FakeKube()
    assert await keeper(kube).reconcile(KEY) == LOOK_EVERY_S
    assert writes(kube) == [("apply", kind.kind, name) for kind, name in KEPT]
    await keeper(kube).reconcile(KEY)
    assert writes(kube) == []


@pytest.mark.parametrize("kept", KEPT, ids=str)
async def test_what_is_deleted_comes_back(kept: Any) -> None:
    kube = FakeKube()
    await keeper(kube).reconcile(KEY)
    await kube.delete(kept[0], NAMESPACE, kept[1])
    writes(kube)
    await keeper(kube).reconcile(KEY)
    assert writes(kube) == [("apply", kept[0].kind, kept[1])]


async def test_what_is_changed_by_hand_is_put_right() -> None:
    kube = FakeKube()
    await keeper(kube).reconcile(KEY)
    body = kube.peek(DEPLOYMENT, NAMESPACE, MATCHER_NAME)
    assert body
    body["spec"]["template"]["spec"]["containers"][0]["image"] = "other:2"
    kube.put(DEPLOYMENT, body)
    writes(kube)
    await keeper(kube).reconcile(KEY)
    assert writes(kube) == [("apply", "Deployment", MATCHER_NAME)]


async def test_one_replica_takes_the_disruption_budget_away() -> None:
    kube = FakeKube()
    await keeper(kube).reconcile(KEY)
    writes(kube)
    await keeper(kube, ONE).reconcile(KEY)
    assert writes(kube) == [
        ("apply", "Deployment", MATCHER_NAME),
        ("delete", POD_DISRUPTION_BUDGET.kind, MATCHER_NAME),
    ]


async def test_without_a_matcher_all_of_it_is_removed_and_not_looked_at_again() -> None:
    kube = FakeKube()
    await keeper(kube).reconcile(KEY)
    assert await keeper(kube, None).reconcile(KEY) is None
    assert kube.objects == {}


async def test_what_is_not_ours_is_not_deleted() -> None:
    theirs = {"metadata": {"namespace": NAMESPACE, "name": MATCHER_NAME}, "spec": {}}
    kube = FakeKube((SERVICE, theirs))
    await keeper(kube, None).reconcile(KEY)
    assert writes(kube) == []


async def test_the_matcher_goes_with_the_operators_deployment() -> None:
    kube = FakeKube((DEPLOYMENT, OPERATOR))
    await keeper(kube).reconcile(KEY)
    uid = (kube.peek(DEPLOYMENT, NAMESPACE, OPERATOR_NAME) or {})["metadata"]["uid"]
    for kind, name in KEPT:
        body = kube.peek(kind, NAMESPACE, name)
        assert body
        (owner,) = body["metadata"]["ownerReferences"]
        assert (owner["name"], owner["uid"]) == (OPERATOR_NAME, uid)
        assert body["metadata"]["labels"][keys.MANAGED_BY_LABEL] == keys.MANAGED_BY


async def test_half_of_it_is_no_harm() -> None:
    """The operator is killed, or the API server goes away, between two objects."""
    kube = FakeKube()
    kube.lose_answer("apply", TransientError("gone"))
    with pytest.raises(TransientError):
        await keeper(kube).reconcile(KEY)
    await keeper(kube).reconcile(KEY)
    assert {(kind, name) for kind, _, name in kube.objects} == {(k.kind, n) for k, n in KEPT}


async def test_a_refusal_is_told_on_the_operators_deployment() -> None:
    kube, events = FakeKube((DEPLOYMENT, OPERATOR)), Events()
    kube.refuse("apply", ApiError(403, "Forbidden", "exceeded quota", "patch", "deployments"))
    with pytest.raises(ApiError):
        await keeper(kube, events=events).reconcile(KEY)
    assert events.about == [f"Deployment/{OPERATOR_NAME}"]
    assert events.posted == [("Warning", "MatcherForbidden")]
    assert "exceeded quota" in events.words[0]
    await keeper(kube, events=events).reconcile(KEY)
    assert len(events.posted) == 1


async def test_what_is_worth_retrying_is_not_told() -> None:
    kube, events = FakeKube((DEPLOYMENT, OPERATOR)), Events()
    kube.refuse("apply", TransientError("gone"))
    with pytest.raises(TransientError):
        await keeper(kube, events=events).reconcile(KEY)
    assert events.posted == []
