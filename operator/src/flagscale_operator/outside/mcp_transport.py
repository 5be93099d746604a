"""The way out of the MCP client: checked addresses, bounded answers.

Imported with the MCP client only, since it brings a whole HTTP library.
"""

import ssl
from collections.abc import AsyncIterator
from functools import cache

import httpx2

from flagscale_operator.outside.addresses import Egress, OutsideError
from flagscale_operator.outside.http import PORTS


class CheckedTransport(httpx2.AsyncBaseTransport):
    """Each request, also after a redirect, goes to an address that was checked.

    Connections are not kept: one that was opened for a name must not serve another one.
    """

    def __init__(self, egress: Egress, *, limit_bytes: int) -> None:
        self._egress = egress
        self._left = limit_bytes
        limits = httpx2.Limits(max_keepalive_connections=0)
        self._inner = httpx2.AsyncHTTPTransport(verify=_trust(), trust_env=False, limits=limits)
        self.problem: OutsideError | None = None
        """What was refused: the client does not always pass an exception on."""
        self.status = 0
        """Of the newest answer, which the client does not tell either."""
        self.location = ""
        """Where that answer redirects to."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Resolve, check, send. Raises OutsideError."""
        try:
            response = await self._send(request)
        except OutsideError as error:
            self.problem = error
            raise
        self.status = response.status_code
        self.location = response.headers.get("location", "")
        stream = response.stream
        if isinstance(stream, httpx2.AsyncByteStream):
            response.stream = _Limited(stream, self)
        return response

    async def _send(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        port = url.port or PORTS.get(url.scheme, 0)
        # What is unpacked could be a thousand times as large as what was counted.
        request.headers["accept-encoding"] = "identity"
        failure: Exception | None = None
        for address in await self._egress.addresses(url.host, port):
            pinned = httpx2.Request(
                request.method,
                url.copy_with(host=str(address)),
                headers=request.headers,
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": url.host},
            )
            try:
                response = await self._inner.handle_async_request(pinned)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                failure = error
                continue
            if response.headers.get("content-encoding", "identity") != "identity":
                await response.aclose()
                raise OutsideError("BadAnswer", f"{url.host}: answers in an encoding nobody wants")
            return response
        told = f"{url.host}: can't be reached ({failure}); start it, or correct the URL"
        raise OutsideError("Unreachable", told)

    def count(self, size: int, host: str = "") -> None:
        """Take some of what may still be read. Raises OutsideError."""
        self._left -= size
        if self._left < 0:
            self.problem = OutsideError("TooLarge", f"{host or 'the server'}: answers too much")
            raise self.problem

    async def aclose(self) -> None:
        """Close what is open."""
        await self._inner.aclose()


class _Limited(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream, transport: CheckedTransport) -> None:
        self._inner = inner
        self._transport = transport

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._inner:
            self._transport.count(len(part))
            yield part

    async def aclose(self) -> None:
        await self._inner.aclose()


@cache
def _trust() -> ssl.SSLContext:
    """Loading the system's authorities takes tens of milliseconds."""
    return ssl.create_default_context()
