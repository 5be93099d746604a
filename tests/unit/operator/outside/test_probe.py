"""Endpoints of tools are looked at without calling them: against real servers on this machine."""

import asyncio
import socket
import ssl
from datetime import UTC, datetime
from ipaddress import ip_address

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from flagscale_api.runtime.egress import Address, AddressPolicy
from flagscale_operator.outside.addresses import Egress
from flagscale_operator.outside.probe import Probe, Target, probe
from flagscale_operator.progress.tls import ensure_certificates
from support.fake_kube import FakeKube
from support.tool_servers import serving

HERE = Egress(AddressPolicy(loopback=True))


class Seen:
    """A server that notes what it is asked."""

    def __init__(self) -> None:
        self.methods: list[tuple[str, str]] = []

    @property
    def app(self) -> ASGIApp:
        methods = ["GET", "POST", "OPTIONS", "HEAD"]
        return Starlette(routes=[Route("/{path:path}", self._answer, methods=methods)])

    async def _answer(self, request: Request) -> Response:
        path = request.url.path
        self.methods.append((request.method, path))
        if path == "/agent/.well-known/agent-card.json":
            return JSONResponse({"name": "planner"})
        if path.startswith("/to/"):
            return RedirectResponse(path.removeprefix("/to/"), status_code=307)
        return Response(status_code=int(path.strip("/")) if path.strip("/").isdigit() else 200)


async def look(url: str, egress: Egress = HERE, *, is_agent: bool = False) -> Probe:
    return await probe(Target(url, is_agent), egress)


@pytest.mark.parametrize("status", [200, 204, 401, 403, 404, 405, 500])
async def test_whoever_answers_is_there(status: int) -> None:
    seen = Seen()
    with serving(seen.app) as url:
        found = await look(f"{url}/{status}")
    assert found == Probe(answers=True, reason="Answers", message="")
    assert seen.methods == [("OPTIONS", f"/{status}")]


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_proxy_with_nobody_behind_it_is_not_there(status: int) -> None:
    with serving(Seen().app) as url:
        found = await look(f"{url}/{status}")
    assert (found.answers, found.reason) == (False, "ServerAway")


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest",
        "http://10.0.0.1/",
        "ftp://example.org/",
        "http://[fe80::1]/",
    ],
)
async def test_a_redirect_to_a_forbidden_address_is_told(target: str) -> None:
    with serving(Seen().app) as url:
        found = await look(f"{url}/to/{target}")
    assert (found.answers, found.reason) == (False, "ForbiddenRedirect")
    assert found.message.startswith(f"redirects to {target}, where no call may go: ")


async def test_a_redirect_to_an_allowed_address_is_an_answer() -> None:
    with serving(Seen().app) as url:
        assert (await look(f"{url}/to/{url}/other")).answers


async def test_a_closed_port_is_told() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    found = await look(f"http://127.0.0.1:{port}/")
    assert (found.answers, found.reason) == (False, "Unreachable")
    assert f"127.0.0.1:{port}: refuses connections" in found.message


async def test_what_does_not_speak_http_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        server.settimeout(5)

        async def hang_up() -> None:
            # Twice: an idempotent request is sent once more on a new connection.
            for _ in range(2):
                connection, _ = await asyncio.to_thread(server.accept)
                connection.close()

        task = asyncio.create_task(hang_up())
        found = await look(url)
        await task
    assert (found.answers, found.reason) == (False, "Unreachable")


async def test_loopback_is_forbidden_in_a_cluster() -> None:
    with serving(Seen().app) as url:
        found = await look(url, Egress(AddressPolicy(), internal=("127.0.0.1",)))
    assert (found.answers, found.reason) == (False, "ForbiddenAddress")


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost"])
async def test_other_spellings_of_loopback_are_forbidden_too(host: str) -> None:
    found = await look(f"http://{host}:1/", Egress(AddressPolicy(), internal=(host,)))
    assert (found.answers, found.reason) == (False, "ForbiddenAddress")


async def test_a_name_that_resolves_to_a_forbidden_address_is_not_connected_to() -> None:
    seen = Seen()

    async def rebound(host: str, port: int) -> list[Address]:
        return [ip_address("8.8.8.8"), ip_address("127.0.0.1")]

    with serving(seen.app) as url:
        named = url.replace("127.0.0.1", "tools.example.org")
        found = await look(named, Egress(AddressPolicy(), resolver=rebound))
    assert (found.reason, seen.methods) == ("ForbiddenAddress", [])


async def test_the_address_that_was_checked_is_connected_to() -> None:
    seen, asked = Seen(), []

    async def resolver(host: str, port: int) -> list[Address]:
        asked.append(host)
        return [ip_address("127.0.0.1")]

    with serving(seen.app) as url:
        named = url.replace("127.0.0.1", "tools.example.org") + "/200"
        assert (await look(named, Egress(AddressPolicy(loopback=True), resolver=resolver))).answers
    assert set(asked) == {"tools.example.org"}
    assert seen.methods == [("OPTIONS", "/200")]


async def test_a_name_that_nobody_knows_is_told() -> None:
    found = await look("http://no-such-host.invalid/")
    assert (found.answers, found.reason) == (False, "DoesNotResolve")


async def test_an_untrusted_certificate_is_told() -> None:
    now, context = datetime.now(UTC), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own = await ensure_certificates(FakeKube(), namespace="ns", pod_ip="127.0.0.1", now=now)
    own.load_into(context, now=now)
    served = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=context)
    async with served:
        port = served.sockets[0].getsockname()[1]
        found = await look(f"https://127.0.0.1:{port}/")
    assert (found.answers, found.reason) == (False, "TlsFailed")
    assert "its certificate is not trusted" in found.message


async def test_an_agent_has_a_card() -> None:
    seen = Seen()
    with serving(seen.app) as url:
        assert (await look(f"{url}/agent", is_agent=True)).answers
        missing = await look(f"{url}/other", is_agent=True)
    assert (missing.answers, missing.reason) == (False, "NoAgentCard")
    assert [method for method, _ in seen.methods] == ["GET", "GET"]
