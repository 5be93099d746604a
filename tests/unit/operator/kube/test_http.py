from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from flagscale_operator.errors import ApiError, TransientError
from flagscale_operator.kube.budget import RequestBudget
from flagscale_operator.kube.connection import Connection
from flagscale_operator.kube.http import KubeHttp
from flagscale_operator.kube.kinds import LEASE, POD

Answer = Callable[[], web.Response]
POD_BODY = {"metadata": {"namespace": "ns", "name": "p"}}


@dataclass
class Api:
    """An API server that answers what the test says, and remembers what it was sent."""

    kube: KubeHttp = field(init=False)
    answers: list[Answer] = field(default_factory=list)
    seen: list[tuple[str, str, dict[str, str], str, Any]] = field(default_factory=list)
    requests: list[tuple[str, str, str]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else None
        self.seen.append(
            (request.method, request.path, dict(request.query), request.content_type, body)
        )
        return self.answers.pop(0)() if self.answers else web.json_response({})

    def say(self, status: int, body: Any = None, **headers: str) -> None:
        self.answers.append(lambda: web.json_response(body or {}, status=status, headers=headers))

    def say_text(self, status: int, text: str) -> None:
        self.answers.append(lambda: web.Response(status=status, text=text))


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    api = Api()
    runner = web.ServerRunner(web.Server(api.handle))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    api.kube = KubeHttp.open(
        Connection(server=f"http://127.0.0.1:{port}", token="t"),
        field_manager="flagscale/trainjob",
        budget=RequestBudget(rate_per_s=None),
        on_request=lambda verb, resource, code, _: api.requests.append((verb, resource, code)),
    )
    yield api
    await api.kube.close()
    await runner.cleanup()


def status(code: int, reason: str, **details: Any) -> dict[str, Any]:
    return {"kind": "Status", "code": code, "reason": reason, "message": "no", "details": details}


async def test_an_apply_names_its_manager_and_its_force(api: Api) -> None:
    await api.kube.apply(POD, POD_BODY, force=False)
    await api.kube.apply_status(POD, POD_BODY)

    manager = {"fieldManager": "flagscale/trainjob"}
    path = "/api/v1/namespaces/ns/pods/p"
    kind = "application/apply-patch+yaml"
    assert api.seen == [
        ("PATCH", path, {**manager, "force": "false"}, kind, POD_BODY),
        ("PATCH", f"{path}/status", {**manager, "force": "true"}, kind, POD_BODY),
    ]


async def test_a_list_reads_all_pages(api: Api) -> None:
    api.say(200, {"metadata": {"continue": "more"}, "items": [{"n": 1}]})
    api.say(200, {"metadata": {}, "items": [{"n": 2}]})

    assert await api.kube.list(POD, label_selector="a=b") == [{"n": 1}, {"n": 2}]
    assert api.seen[1][2] == {"limit": "500", "labelSelector": "a=b", "continue": "more"}


async def test_a_missing_object_is_none(api: Api) -> None:
    api.say(404, status(404, "NotFound", name="p", kind="pods"))

    assert await api.kube.get(POD, "ns", "p") is None


@pytest.mark.parametrize(
    "say",
    [
        lambda api: api.say_text(404, "404 page not found\n"),
        lambda api: api.say(404, status(404, "NotFound")),
    ],
)
async def test_a_missing_kind_is_an_error(api: Api, say: Callable[[Api], None]) -> None:
    say(api)

    with pytest.raises(ApiError) as error:
        await api.kube.get(POD, "ns", "p")

    assert (error.value.status, error.value.reason) == (404, "KindNotFound")


async def test_a_refusal_tells_the_fields(api: Api) -> None:
    causes = [{"field": "spec.steps", "message": "must be positive"}]
    api.say(422, status(422, "Invalid", name="p", causes=causes))

    with pytest.raises(ApiError) as error:
        await api.kube.create(POD, POD_BODY)

    assert error.value.causes == ("spec.steps: must be positive",)
    assert str(error.value) == "create pods: 422 Invalid: no"


@pytest.mark.parametrize("code", [410, 429, 500, 503])
async def test_what_may_pass_is_transient(api: Api, code: int) -> None:
    api.say(code, status(code, "Busy"), **{"Retry-After": "3"})

    with pytest.raises(TransientError) as error:
        await api.kube.list(POD)

    assert error.value.retry_after_s == 3
    assert api.requests == [("list", "pods", str(code))]


@pytest.mark.parametrize("text", ["<html>", "{not json", "[]"])
async def test_an_answer_that_is_no_object_is_transient(api: Api, text: str) -> None:
    api.say_text(200, text)
    api.say_text(502, text)

    for _ in range(2):
        with pytest.raises(TransientError):
            await api.kube.get(POD, "ns", "p")


async def test_a_server_that_is_away_is_transient(api: Api) -> None:
    away = KubeHttp.open(
        Connection(server="http://127.0.0.1:1"),
        field_manager="x",
        budget=RequestBudget(rate_per_s=None),
        on_request=lambda verb, resource, code, _: api.requests.append((verb, resource, code)),
    )

    with pytest.raises(TransientError, match="get leases: the API server did not answer"):
        await away.get(LEASE, "ns", "l")

    assert api.requests == [("get", "leases", "error")]
    await away.close()


@pytest.mark.parametrize(
    ("answer", "deleted"),
    [((200, {}), True), ((404, status(404, "NotFound", name="p")), False), ((409, {}), False)],
)
async def test_a_delete_is_fenced_by_uid(
    api: Api,
    answer: tuple[int, dict[str, Any]],
    deleted: bool,  # noqa: FBT001
) -> None:
    api.say(*answer)

    assert await api.kube.delete(POD, "ns", "p", uid="u1") is deleted
    assert api.seen[0][4] == {
        "propagationPolicy": "Background",
        "preconditions": {"uid": "u1"},
    }
