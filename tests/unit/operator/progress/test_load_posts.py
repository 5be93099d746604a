"""What gateways post, and what autoscalers are answered."""

import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from flagscale_operator.kinds.inference_service.load_report import PATH
from flagscale_operator.progress.board import ProgressBoard
from flagscale_operator.progress.external_metrics import (
    ROOT,
    ExternalMetrics,
    common_names,
    selected,
    value_list,
)
from flagscale_operator.progress.load_board import LoadBoard
from flagscale_operator.progress.load_posts import LoadPosts
from flagscale_operator.progress.server import serve_progress
from flagscale_operator.progress.tls import ensure_certificates
from flagscale_operator.progress.tokens import TokenChecker
from support.token_reviews import GOOD, Reviewer

LOAD = {"requests": 2.5, "waiting": 1}
METRIC = f"{ROOT}/namespaces/ns/flagscale_outstanding_requests"


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Served:
    board: LoadBoard
    session: aiohttp.ClientSession
    url: str
    labels: dict[str, str]
    codes: list[int] = field(default_factory=list)

    async def post(
        self, body: Any = LOAD, *, name: str = "svc", token: str = GOOD
    ) -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {token}"}
        path = self.url + PATH.format(namespace="ns", name=name)
        async with self.session.post(path, headers=headers, json=body) as response:
            return response.status, (await response.json()).get("message", "")


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    kube, codes = Reviewer(), list[int]()
    labels = {
        "flagscale.dev/inferenceservice": "svc",
        "app.kubernetes.io/component": "gateway",
    }
    pods = {("ns", "p"): {"metadata": {"uid": "u1", "labels": labels}}}
    tokens = TokenChecker(kube, pods=pods)
    board = LoadBoard(on_change=lambda *_: None, clock=lambda: 0.0)
    posts = LoadPosts(
        board, tokens, on_post=codes.append, service_exists=lambda _, name: name != "gone"
    )
    metrics = ExternalMetrics(board, allowed_names=("proxy",), clock=now)
    certificates = await ensure_certificates(kube, namespace="sys", pod_ip="127.0.0.1", now=now())
    context = ssl.create_default_context(cadata=certificates.ca_pem)
    async with (
        serve_progress(
            board=ProgressBoard(on_change=lambda *_: None, clock=now),
            tokens=tokens,
            certificates=certificates,
            port=0,
            host="127.0.0.1",
            on_post=lambda _: None,
            routes=(*posts.routes(), *metrics.routes()),
            client_ca_pem=certificates.ca_pem,
        ) as port,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
    ):
        yield Served(board, session, f"https://127.0.0.1:{port}", labels, codes)


async def test_a_gateway_tells_its_load(served: Served) -> None:
    assert await served.post() == (200, "")

    fact = served.board.newest("ns", "svc")
    assert fact is not None
    assert (fact.requests, fact.waiting) == (2.5, 1)
    assert served.codes == [200]


@pytest.mark.parametrize(
    ("code", "told", "sent"),
    [
        (401, "token: is not good", {"token": "bad"}),
        (403, "is no gateway of InferenceService ns/other", {"name": "other"}),
        (422, "requests: ", {"body": {"requests": -1, "waiting": 0}}),
        (422, "waiting: ", {"body": {"requests": 1, "waiting": 0.5}}),
        (422, "waiting: ", {"body": {"requests": 1}}),
    ],
)
async def test_what_is_wrong_is_refused(
    served: Served, code: int, told: str, sent: dict[str, Any]
) -> None:
    status, message = await served.post(**sent)

    assert (status, told in message) == (code, True)
    assert served.board.newest("ns", "svc") is None


async def test_an_engine_pod_is_no_gateway(served: Served) -> None:
    served.labels["app.kubernetes.io/component"] = "engine"

    assert (await served.post())[0] == 403


async def test_a_service_that_is_gone_is_404(served: Served) -> None:
    served.labels["flagscale.dev/inferenceservice"] = "gone"

    assert (await served.post(name="gone"))[0] == 404


@pytest.mark.parametrize("path", [ROOT, METRIC])
async def test_nobody_but_the_api_server_is_answered(served: Served, path: str) -> None:
    async with served.session.get(served.url + path) as response:
        assert response.status == 401


def test_a_load_is_told_in_thousandths_and_an_unknown_one_not_at_all() -> None:
    (item,) = value_list("svc", 2.5, now())["items"]

    assert (item["metricName"], item["value"]) == ("flagscale_outstanding_requests", "2500m")
    assert value_list("svc", None, now())["items"] == []


@pytest.mark.parametrize(
    ("selector", "name"),
    [
        ("flagscale.dev/inferenceservice=svc", "svc"),
        ("flagscale.dev/inferenceservice=svc,a=b", None),
        ("flagscale.dev/inferenceservice=", None),
        ("a=svc", None),
        ("", None),
    ],
)
def test_the_selector_names_one_service(selector: str, name: str | None) -> None:
    assert selected({"labelSelector": selector}) == name


def test_the_proxy_is_known_by_its_common_name() -> None:
    subject = ((("organizationName", "o"),), (("commonName", "kube-apiserver"),))
    assert common_names({"subject": subject}) == ["kube-apiserver"]
