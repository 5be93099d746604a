"""HTTP to agents: where it may go, and how much may come back.

Agents write the addresses themselves, so none is believed: the metadata service of a cloud is on a
link-local one. A name is resolved once, and what was checked is what is connected to.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Collection
from ipaddress import ip_address, ip_network
from typing import Final

import httpx

from flagscale_api.runtime.egress import Address, AddressPolicy, ForbiddenAddressError
from flagscale_workloads.agent.collaboration.errors import ForbiddenAgentError, HandOffError

PRIVATE: Final = tuple(
    map(
        ip_network,
        ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"),
    )
)
"""Where agents live, unlike tools: those of one team run in one cluster or network."""


class GuardedTransport(httpx.AsyncBaseTransport):
    """Connects to allowed addresses only and reads at most so many bytes in all."""

    def __init__(
        self,
        policy: AddressPolicy,
        *,
        max_bytes: int,
        internal: Collection[str] = (),
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._inner = httpx.AsyncHTTPTransport(verify=trust or ssl.create_default_context())
        self._policy = policy
        self._internal = internal
        self._max_bytes = max_bytes
        self._read = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One exchange.

        Raises:
            HandOffError: an address that is not allowed, or too long an answer.
        """
        host = request.url.host
        address = await self._resolve(host, request.url.port or 80)
        request.extensions = {**request.extensions, "sni_hostname": host}
        # The Host header has been set from the name already.
        request.url = request.url.copy_with(host=str(address))
        response = await self._inner.handle_async_request(request)
        return httpx.Response(
            response.status_code,
            headers=response.headers,
            stream=_Counted(self, response),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        """Close connections."""
        await self._inner.aclose()

    def count(self, size: int) -> None:
        """Add to what was read.

        Raises:
            HandOffError: it is too much.
        """
        self._read += size
        if self._read > self._max_bytes:
            msg = f"agent's answer: too long, got over {self._max_bytes} bytes; raise max_bytes"
            raise HandOffError(msg)

    async def _resolve(self, host: str, port: int) -> Address:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                host, port, type=socket.SOCK_STREAM
            )
        except OSError as error:
            msg = f"agent's address: {host} is not known, got {error}; check its url"
            raise HandOffError(msg) from error
        addresses = [ip_address(one[4][0]) for one in found]
        try:
            self._policy.check(host, addresses, internal=self._internal)
        except ForbiddenAddressError as error:
            msg = f"agent's address: not allowed, {error}; check its url"
            raise ForbiddenAgentError(msg) from None
        return addresses[0]


class _Counted(httpx.AsyncByteStream):
    """A response's bytes as they come."""

    def __init__(self, transport: GuardedTransport, response: httpx.Response) -> None:
        self._transport = transport
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._response.aiter_raw():
            self._transport.count(len(chunk))
            yield chunk

    async def aclose(self) -> None:
        await self._response.aclose()
