"""HTTP to agents: where it may go, and how much may come back.

Agents write the addresses themselves, so none is believed: the metadata service of a cloud is on a
link-local one. A name is resolved once, and what was checked is what is connected to.
"""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator

import httpx

from flagscale_workloads.agent.collaboration.errors import HandOffError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class GuardedTransport(httpx.AsyncBaseTransport):
    """Connects to allowed addresses only and reads at most so many bytes in all."""

    def __init__(self, *, loopback: bool, max_bytes: int) -> None:
        self._inner = httpx.AsyncHTTPTransport()
        self._loopback = loopback
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
        address = ipaddress.ip_address(found[0][4][0])
        if why := refused(address, loopback=self._loopback):
            msg = f"agent's address: not allowed, got {host} ({address}, {why}); check its url"
            raise HandOffError(msg)
        return address


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


def refused(address: Address, *, loopback: bool) -> str:
    """Why an address may not be called; empty when it may."""
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    if address.is_loopback:
        return "" if loopback else "loopback"
    for kind in ("is_link_local", "is_multicast", "is_unspecified", "is_reserved"):
        if getattr(address, kind):
            return kind.removeprefix("is_").replace("_", "-")
    return ""
