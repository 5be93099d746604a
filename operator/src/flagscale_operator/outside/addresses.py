"""Names to addresses that may be connected to."""

import asyncio
import re
import socket
from collections.abc import Collection
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final, Protocol

from flagscale_api.runtime.egress import Address, AddressPolicy, ForbiddenAddressError, literal

_NUMERIC: Final = re.compile(r"(^|\.)(0x[0-9a-f]*|[0-9]+)\.?$", re.IGNORECASE)


@dataclass
class OutsideError(Exception):
    """Somebody outside of Kubernetes could not be asked: condition reason and sentence."""

    reason: str
    message: str

    def __str__(self) -> str:
        """The sentence."""
        return self.message


class Resolver(Protocol):
    """Names to addresses."""

    async def __call__(self, host: str, port: int) -> list[Address]:
        """All of them, the preferred one first. Raises OSError."""


async def resolve(host: str, port: int) -> list[Address]:
    """By the system's resolver. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))


@dataclass(frozen=True, slots=True)
class Egress:
    """Which addresses the operator connects to for one resource."""

    policy: AddressPolicy
    internal: Collection[str] = ()
    resolver: Resolver = field(default=resolve)

    async def addresses(self, host: str, port: int) -> list[Address]:
        """Checked addresses of a host. Raises OutsideError."""
        known = literal(host)
        if known is None and _NUMERIC.search(host):
            # Every library reads these as another address, or none.
            told = f"{host}: is no address in its usual form; write it as 192.0.2.1"
            raise OutsideError("ForbiddenAddress", told)
        try:
            found = [known] if known else await self.resolver(host, port)
            self.policy.check(host, found, self.internal)
        except OSError as error:
            told = f"{host}: does not resolve ({error.strerror or error}); correct the URL"
            raise OutsideError("DoesNotResolve", told) from error
        except ForbiddenAddressError as error:
            raise OutsideError("ForbiddenAddress", str(error)) from error
        return found
