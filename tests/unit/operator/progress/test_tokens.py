import asyncio
from typing import Any

import pytest

from flagscale_operator.errors import ApiError, TransientError
from flagscale_operator.kube.client import Manifest
from flagscale_operator.kube.kinds import POD, TOKEN_REVIEW, KubeKind
from flagscale_operator.progress.protocol import Refused
from flagscale_operator.progress.tokens import TokenChecker
from support.fake_kube import FakeKube

GOOD = "good"
AUDIENCE = "flagscale.dev/trainjobs/ns/a"


def pod(job: str = "a", attempt: str = "2", uid: str = "u1") -> Manifest:
    labels = {"flagscale.dev/trainjob": job, "flagscale.dev/attempt": attempt}
    return {"metadata": {"namespace": "ns", "name": "p", "uid": uid, "labels": labels}}


class Reviewer(FakeKube):
    """Reviews tokens like the API server: `good` is bound to pod p of namespace ns."""

    def __init__(self, *objects: tuple[KubeKind, Manifest]) -> None:
        super().__init__(*objects)
        self.reviews = 0
        self.error: Exception | None = None
        self.username = "system:serviceaccount:ns:default"
        self.extra = {"pod-name": ["p"], "pod-uid": ["u1"]}

    async def create(self, kind: KubeKind, manifest: Manifest) -> Manifest:
        assert kind is TOKEN_REVIEW
        self.reviews += 1
        await asyncio.sleep(0)
        if self.error:
            raise self.error
        spec = manifest["spec"]
        if spec["token"] != GOOD or spec["audiences"] != [AUDIENCE]:
            return {"status": {"authenticated": False, "error": "no"}}
        extra = {f"authentication.kubernetes.io/{k}": v for k, v in self.extra.items()}
        user = {"username": self.username, "extra": extra}
        return {"status": {"authenticated": True, "audiences": [AUDIENCE], "user": user}}


class World:
    def __init__(self, stored: Manifest | None = None, *, kube: Reviewer | None = None) -> None:
        self.kube = kube or Reviewer()
        self.now = 0.0
        self.pods = {("ns", "p"): stored} if stored else {}
        self.tokens = TokenChecker(self.kube, pods=self.pods, clock=lambda: self.now)

    async def check(self, token: str = GOOD, namespace: str = "ns", name: str = "a") -> int:
        return await self.tokens.attempt_of(token, namespace=namespace, name=name)

    async def refused(self, **job: Any) -> int:
        with pytest.raises(Refused) as refused:
            await self.check(**job)
        return refused.value.status


async def test_a_token_is_bound_to_the_attempt_of_its_pod() -> None:
    assert await World(pod()).check() == 2


async def test_a_token_is_reviewed_once_a_minute() -> None:
    world = World(pod())

    for _ in range(3):
        await world.check()
    assert world.kube.reviews == 1
    world.now = 61
    await world.check()

    assert world.kube.reviews == 2


async def test_a_token_is_not_good_for_another_job() -> None:
    world = World(pod())
    await world.check()

    assert await world.refused(name="b") == 401
    assert await world.refused(namespace="other") == 401


async def test_a_bad_token_is_refused_and_reviewed_seldom() -> None:
    world = World(pod())

    assert [await world.refused(token="bad") for _ in range(3)] == [401] * 3
    assert world.kube.reviews == 1
    assert await world.refused(token="") == 401
    assert await world.refused(token="x" * 20_000) == 401
    assert world.kube.reviews == 1


@pytest.mark.parametrize("body", [pod(job="b"), pod(attempt=""), {"metadata": {"uid": "u1"}}])
async def test_a_pod_that_is_none_of_the_job_is_refused(body: Manifest) -> None:
    assert await World(body).refused() == 403


async def test_a_token_without_a_pod_or_of_no_service_account_is_refused() -> None:
    world = World(pod())
    world.kube.extra = {}
    assert await world.refused() == 401

    world = World(pod())
    world.kube.username = "somebody"
    assert await world.refused() == 401


async def test_a_pod_of_another_namespace_is_refused() -> None:
    world = World(pod())
    world.kube.username = "system:serviceaccount:other:default"

    assert await world.refused() == 403


async def test_a_pod_the_watch_has_not_brought_yet_is_read_once() -> None:
    world = World(kube=Reviewer((POD, pod())))

    assert [await world.check() for _ in range(3)] == [2] * 3
    assert world.kube.verbs(POD) == ["get"]


async def test_a_newer_pod_of_the_same_name_does_not_vouch_for_the_older() -> None:
    newer = pod(uid="u2")

    assert await World(newer, kube=Reviewer((POD, newer))).refused() == 403


@pytest.mark.parametrize(
    "error", [TransientError("away"), ApiError(403, "Forbidden", "no", "create", "tokenreviews")]
)
async def test_an_api_server_that_can_not_review_makes_it_503_and_is_asked_again(
    error: Exception,
) -> None:
    world = World(pod())
    world.kube.error = error
    assert await world.refused() == 503
    world.kube.error = None

    assert await world.check() == 2


async def test_a_flood_of_unknown_tokens_is_told_to_slow_down() -> None:
    world = World(pod())

    answers = await asyncio.gather(
        *(world.check(token=f"bad{i}") for i in range(400)), return_exceptions=True
    )

    statuses = {a.status for a in answers if isinstance(a, Refused)}
    assert statuses == {401, 429}
    assert world.kube.reviews <= 256
