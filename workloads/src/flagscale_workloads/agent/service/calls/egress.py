"""The way out: a name is resolved once, checked, and the checked address is what is called."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Collection
from ipaddress import ip_address
from typing import Final, Protocol, cast

import httpx2

from flagscale_api.runtime.egress import (
    Address,
    AddressPolicy,
    ForbiddenAddressError,
    literal,
)
from flagscale_workloads.agent.service.errors import ServiceError

CONNECT_S: Final = 5.0


class Resolver(Protocol):
    """Names to addresses."""

    async def __call__(self, host: str, port: int) -> list[Address]:
        """All of them, the preferred one first. Raises OSError."""


async def resolve(host: str, port: int) -> list[Address]:
    """By the system's resolver. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))


class EgressTransport(httpx2.AsyncBaseTransport):
    """For the calls of one tool; every request, also after a redirect, passes the check.

    Connections are not kept: the pool below knows addresses only, and one that was opened for a
    name must not serve another name at the same address.
    """

    def __init__(
        self,
        policy: AddressPolicy,
        *,
        internal_hosts: Collection[str],
        limit_bytes: int,
        trust: ssl.SSLContext,
        resolver: Resolver = resolve,
    ) -> None:
        self._policy = policy
        self._internal_hosts = internal_hosts
        self._limit_bytes = limit_bytes
        self._resolver = resolver
        limits = httpx2.Limits(max_keepalive_connections=0)
        self._inner = httpx2.AsyncHTTPTransport(verify=trust, trust_env=False, limits=limits)
        self.problem: ServiceError | None = None
        """What was refused, for clients that do not pass an exception on."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Resolve, check, send. Raises ServiceError."""
        try:
            response = await self._send(request)
            # What is unpacked could be a thousand times as large as what was counted.
            if response.headers.get("content-encoding", "identity") != "identity":
                await response.aclose()
                msg = "tool: answers in an encoding that was not asked for; send it plain"
                raise ServiceError(502, "bad_answer", msg)
        except ServiceError as error:
            self.problem = error
            raise
        response.stream = _Limited(response, self)
        return response

    async def _send(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        addresses = await self._addresses(url)
        request.headers["accept-encoding"] = "identity"
        last: Exception | None = None
        for address in addresses:
            pinned = httpx2.Request(
                request.method,
                url.copy_with(host=str(address)),
                headers=request.headers,
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": url.host},
            )
            try:
                return await self._inner.handle_async_request(pinned)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                last = error
        message = f"tool: {url.host} cannot be reached ({last}); look whether it runs"
        raise ServiceError(502, "unreachable", message, retryable=True)

    async def _addresses(self, url: httpx2.URL) -> list[Address]:
        port = url.port or {"http": 80, "https": 443}.get(url.scheme, 0)
        known = literal(url.host)
        try:
            found = [known] if known else await self._resolver(url.host, port)
            # One forbidden address among good ones is how a name is made to lead inside later.
            self._policy.check(url.host, found, self._internal_hosts)
        except (OSError, UnicodeError) as error:
            message = f"tool: {url.host} does not resolve ({error}); correct its URL"
            raise ServiceError(502, "unreachable", message, retryable=True) from error
        except ForbiddenAddressError as error:
            raise ServiceError(403, "forbidden_address", f"tool: {error}") from error
        return found

    def too_large(self) -> ServiceError:
        """The answer is over the limit."""
        msg = f"tool: the answer is over {self._limit_bytes} bytes; ask for less"
        self.problem = ServiceError(502, "answer_too_large", msg)
        return self.problem

    @property
    def limit_bytes(self) -> int:
        """Of one answer."""
        return self._limit_bytes

    async def aclose(self) -> None:
        """Close what is open."""
        await self._inner.aclose()


class _Limited(httpx2.AsyncByteStream):
    def __init__(self, response: httpx2.Response, transport: EgressTransport) -> None:
        # The transport below is asynchronous, so its streams are.
        self._inner = cast("httpx2.AsyncByteStream", response.stream)
        self._transport = transport

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for part in self._inner:
            size += len(part)
            if size > self._transport.limit_bytes:
                raise self._transport.too_large()
            yield part

    async def aclose(self) -> None:
        await self._inner.aclose()
