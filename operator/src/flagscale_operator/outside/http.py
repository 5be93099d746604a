"""One HTTP request to an address that was checked; redirects are told, not followed."""

import asyncio
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from flagscale_operator.outside.addresses import Egress, OutsideError

REDIRECTS: Final = (301, 302, 303, 307, 308)
PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    location: str
    """Absolute URL of a redirect; empty: none."""
    body: bytes


class _CheckedResolver(AbstractResolver):
    def __init__(self, egress: Egress) -> None:
        self._egress = egress

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in await self._egress.addresses(host, port)
        ]

    async def close(self) -> None:
        """Nothing is open."""


async def request(
    method: str,
    url: str,
    *,
    egress: Egress,
    timeout_s: float,
    limit_bytes: int = 0,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Send one request; `limit_bytes` of the answer are read, more is an error, 0 reads none.

    Raises:
        OutsideError: forbidden, unreachable, too slow or too large.
    """
    # aiohttp connects to a literal address without asking its resolver.
    await check(url, egress)
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    connector = aiohttp.TCPConnector(
        resolver=_CheckedResolver(egress), use_dns_cache=False, force_close=True
    )
    host = urlsplit(url).netloc
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
            session.request(method, url, allow_redirects=False, headers=headers) as response,
        ):
            body = await _read(response, limit_bytes) if limit_bytes else b""
            location = response.headers.get("Location", "")
            redirects = response.status in REDIRECTS and bool(location)
            return Answer(response.status, urljoin(url, location) if redirects else "", body)
    except TimeoutError as error:
        raise OutsideError("TimedOut", f"{host}: no answer within {timeout_s:g} s") from error
    except aiohttp.ClientConnectorCertificateError as error:
        told = f"{host}: its certificate is not trusted ({error.certificate_error})"
        raise OutsideError("TlsFailed", told) from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise OutsideError("Unreachable", f"{host}: {_why(error)}") from error


async def check(url: str, egress: Egress) -> None:
    """Whether a URL may be asked: http or https, at an allowed address. Raises OutsideError."""
    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.hostname:
        raise OutsideError("ForbiddenAddress", f"{url[:200]}: only http and https are spoken")
    await egress.addresses(parts.hostname, parts.port or PORTS[parts.scheme])


async def _read(response: aiohttp.ClientResponse, limit_bytes: int) -> bytes:
    body = bytearray()
    async for part in response.content.iter_chunked(65536):
        body += part
        if len(body) > limit_bytes:
            told = f"{response.url.host}: answers more than {limit_bytes} bytes"
            raise OutsideError("TooLarge", told)
    return bytes(body)


def _why(error: Exception) -> str:
    """Words that stay the same while the fault does."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, ConnectionRefusedError):
        return "refuses connections; start it, or correct the port"
    if isinstance(cause, OSError) and cause.strerror:
        return f"can't be reached ({cause.strerror})"
    if isinstance(error, asyncio.IncompleteReadError | aiohttp.ServerDisconnectedError):
        return "closes the connection without an answer"
    return f"does not speak HTTP ({type(error).__name__})"
