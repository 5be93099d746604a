import ssl
from ipaddress import ip_address

import httpx2
import pytest

from flagscale_api.runtime.egress import Address, AddressPolicy
from flagscale_workloads.agent.service.calls.egress import EgressTransport
from flagscale_workloads.agent.service.errors import ServiceError
from support.loopback_tools import Seen, http_tool, served


class Names:
    """A resolver whose answers change from one question to the next, as an attacker's do."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[Address]:
        self.asked.append(host)
        return [ip_address(one) for one in self.answers.pop(0)]


def transport(names: Names, *internal: str, limit_bytes: int = 1000) -> EgressTransport:
    return EgressTransport(
        AddressPolicy(loopback=bool(internal)),
        internal_hosts=internal,
        limit_bytes=limit_bytes,
        trust=ssl.create_default_context(),
        resolver=names,
    )


async def get(url: str, by: EgressTransport) -> httpx2.Response:
    async with httpx2.AsyncClient(transport=by, trust_env=False) as client:
        return await client.get(url)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "169.254.169.254", "10.0.0.1", "::1", "fe80::1", "::ffff:10.0.0.1", "224.0.0.1"],
)
async def test_a_public_name_that_leads_inside_is_refused(address: str) -> None:
    with pytest.raises(ServiceError, match=r"loopback|link-local|private|no address") as refused:
        await get("http://tools.example.org/", transport(Names([address])))
    assert refused.value.code == "forbidden_address"


async def test_one_forbidden_address_among_good_ones_is_enough() -> None:
    names = Names(["93.184.215.14", "169.254.169.254"])
    with pytest.raises(ServiceError, match="link-local"):
        await get("http://tools.example.org/", transport(names))


async def test_what_was_checked_is_what_is_called_with_the_name_as_host() -> None:
    seen = Seen()
    async with served(http_tool(seen)) as url:
        names = Names(["127.0.0.1"])
        port = url.rpartition(":")[2]
        answer = await get(
            f"http://tools.example.org:{port}/a?b=c", transport(names, "tools.example.org")
        )
    assert answer.status_code == 200
    assert names.asked == ["tools.example.org"]
    assert seen.requests[0]["headers"]["host"] == f"tools.example.org:{port}"
    assert seen.requests[0]["path"] == "/a"


async def test_literal_addresses_are_checked_without_a_resolver() -> None:
    with pytest.raises(ServiceError, match="link-local"):
        await get("http://169.254.169.254/latest/meta-data", transport(Names()))
    with pytest.raises(ServiceError, match="loopback"):
        await get("http://[::1]/", transport(Names()))


async def test_an_answer_ends_at_the_limit() -> None:
    async with served(http_tool(Seen())) as url:
        by = transport(Names(), "127.0.0.1", limit_bytes=1000)
        assert len((await get(f"{url}/big?bytes=1000", by)).content) == 1000
        with pytest.raises(ServiceError, match="over 1000 bytes"):
            await get(f"{url}/big?bytes=1001", transport(Names(), "127.0.0.1", limit_bytes=1000))


async def test_a_dead_address_is_told_as_unreachable() -> None:
    with pytest.raises(ServiceError, match="cannot be reached") as refused:
        await get("http://127.0.0.1:1/", transport(Names(), "127.0.0.1"))
    assert refused.value.retryable
