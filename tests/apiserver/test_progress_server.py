import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from flagscale_operator.kinds.train_job.pod import audience
from flagscale_operator.kube.http import KubeHttp
from flagscale_operator.kube.kinds import ENDPOINT_SLICE, EVENT, POD, KubeKind
from flagscale_operator.progress.board import ProgressBoard
from flagscale_operator.progress.endpoint import publish_endpoint
from flagscale_operator.progress.protocol import PATH
from flagscale_operator.progress.server import serve_progress
from flagscale_operator.progress.tls import ensure_certificates
from flagscale_operator.progress.tokens import TokenChecker
from flagscale_operator.telemetry.events import EventRecorder

SERVICE_ACCOUNT = KubeKind("", "v1", "ServiceAccount", "serviceaccounts")
# The subresource that `kubectl create token` posts to.
TOKEN = KubeKind("", "v1", "TokenRequest", "serviceaccounts/trainer/token")


def now() -> datetime:
    return datetime.now(UTC)


async def create_pod(kube: KubeHttp, namespace: str, name: str, job: str) -> dict[str, Any]:
    metadata = {
        "name": name,
        "namespace": namespace,
        "labels": {"flagscale.dev/trainjob": job, "flagscale.dev/attempt": "2"},
    }
    containers = [{"name": "pytorch", "image": "none"}]
    spec = {"serviceAccountName": "trainer", "containers": containers}
    return await kube.create(
        POD, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    )


async def request_token(kube: KubeHttp, pod: dict[str, Any], wanted: str) -> str:
    metadata = pod["metadata"]
    bound = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]}
    answer = await kube.create(
        TOKEN,
        {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "metadata": {"namespace": metadata["namespace"]},
            "spec": {"audiences": [wanted], "boundObjectRef": bound},
        },
    )
    return str(answer["status"]["token"])


@dataclass
class Served:
    board: ProgressBoard
    session: aiohttp.ClientSession
    port: int
    namespace: str
    pod: dict[str, Any]

    async def post(self, token: str, name: str = "a") -> int:
        path = PATH.format(namespace=self.namespace, name=name)
        report = {"lastUpdatedTime": now().isoformat(), "progressPercentage": 40}
        async with self.session.post(
            f"https://127.0.0.1:{self.port}{path}",
            json={"trainerStatus": report},
            headers={"Authorization": f"Bearer {token}"},
        ) as response:
            return response.status


@pytest.fixture
async def served(kube: KubeHttp, namespace: str) -> AsyncIterator[Served]:
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "trainer", "namespace": namespace},
    }
    await kube.create(SERVICE_ACCOUNT, account)
    pod = await create_pod(kube, namespace, "a-1-master-0", "a")
    board = ProgressBoard(on_change=lambda *_: None, clock=now)
    certificates = await ensure_certificates(
        kube, namespace=namespace, pod_ip="127.0.0.1", now=now()
    )
    context = ssl.create_default_context(cadata=certificates.ca_pem)
    async with (
        serve_progress(
            board=board,
            tokens=TokenChecker(kube, pods={}),
            certificates=certificates,
            port=0,
            host="127.0.0.1",
            on_post=lambda _: None,
        ) as port,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
    ):
        yield Served(board, session, port, namespace, pod)


async def test_a_pods_own_token_is_accepted_for_its_attempt(kube: KubeHttp, served: Served) -> None:
    token = await request_token(kube, served.pod, audience(served.namespace, "a"))

    assert await served.post(token) == 200
    fact = served.board.newest(served.namespace, "a")
    assert fact is not None
    assert (fact.attempt, fact.percent) == (2, 40)


async def test_a_token_for_another_job_or_for_the_api_is_401(
    kube: KubeHttp, served: Served
) -> None:
    for wanted in (audience(served.namespace, "b"), "https://kubernetes.default.svc"):
        assert await served.post(await request_token(kube, served.pod, wanted)) == 401
    assert await served.post("nonsense") == 401


async def test_a_pod_of_another_job_is_403_even_with_the_audience(
    kube: KubeHttp, served: Served
) -> None:
    other = await create_pod(kube, served.namespace, "b-1-master-0", "b")

    token = await request_token(kube, other, audience(served.namespace, "a"))

    assert await served.post(token) == 403


async def test_a_token_dies_with_its_pod(kube: KubeHttp, served: Served) -> None:
    token = await request_token(kube, served.pod, audience(served.namespace, "a"))
    await kube.delete(POD, served.namespace, served.pod["metadata"]["name"])

    assert await served.post(token) == 401


async def test_the_ca_survives_a_restart(kube: KubeHttp, namespace: str) -> None:
    first = await ensure_certificates(kube, namespace=namespace, pod_ip="10.0.0.1", now=now())
    second = await ensure_certificates(kube, namespace=namespace, pod_ip="10.0.0.2", now=now())

    assert first.ca_pem == second.ca_pem


async def test_the_endpoint_moves_to_the_new_leader(kube: KubeHttp, namespace: str) -> None:
    for address in ("10.0.0.1", "fd00::1", "10.0.0.2"):
        await publish_endpoint(kube, namespace=namespace, address=address, port=10443)

    (slice_,) = await kube.list(ENDPOINT_SLICE, namespace)
    assert [e["addresses"] for e in slice_["endpoints"]] == [["10.0.0.2"]]


async def test_events_are_counted_by_the_real_api(kube: KubeHttp, served: Served) -> None:
    failures: list[int] = []
    events = EventRecorder(
        kube,
        component="flagscale-operator",
        instance="test",
        clock=now,
        on_failure=lambda: failures.append(1),
    )
    body = {**served.pod, "apiVersion": "v1", "kind": "Pod"}

    for _ in range(3):
        await events.post(body, "Normal", "Running", "runs")

    found = [e for e in await kube.list(EVENT, served.namespace) if e["reason"] == "Running"]
    assert failures == []
    assert [e["count"] for e in found] == [3]
