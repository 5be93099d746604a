"""What a source offers: its server or document is asked, with its credential."""

import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Final

from flagscale_api.runtime.egress import AddressPolicy
from flagscale_operator.errors import ApiError, TransientError
from flagscale_operator.kube.client import Kube
from flagscale_operator.kube.kinds import CONFIG_MAP, SECRET
from flagscale_operator.outside.addresses import Egress, OutsideError
from flagscale_operator.outside.http import request
from flagscale_operator.outside.remote_tools import Listing

DOCUMENT_BYTES: Final = 4 << 20
TIMEOUT_S: Final = 60.0
FIRST_RETRY_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class KeyOf:
    """One key of a Secret or ConfigMap."""

    name: str
    key: str


@dataclass(frozen=True, slots=True)
class Credential:
    """How a credential is sent."""

    secret: KeyOf
    header: str
    scheme: str


@dataclass(frozen=True, slots=True)
class Offer:
    """Where the tools of a source are told of."""

    namespace: str
    mcp_url: str = ""
    document_url: str = ""
    document: KeyOf | None = None
    server_url: str | None = None
    credential: Credential | None = None
    internal: tuple[str, ...] = ()
    timeout_s: float = 30.0
    resync_s: float = 300.0


def pace_s(offer: Offer, listing: Listing, times: int) -> float:
    """When to ask again: after a failure soon, and less and less often."""
    if not listing.failed:
        return offer.resync_s
    return min(offer.resync_s, FIRST_RETRY_S * 2.0 ** min(times - 1, 10))


class SourceLister:
    """Asks; what goes wrong is part of the answer."""

    def __init__(self, kube: Kube, policy: AddressPolicy) -> None:
        self._kube = kube
        self._policy = policy

    async def ask(self, offer: Offer) -> Listing:
        """Everything that a source offers now."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await self._list(offer)
        except TimeoutError:
            return Listing(reason="TimedOut", message=f"no list within {TIMEOUT_S:g} s")
        except OutsideError as error:
            return Listing(reason=error.reason, message=error.message)
        except (ApiError, TransientError) as error:
            return Listing(reason="ClusterUnavailable", message=f"the API server: {error}")

    async def follow(self, offer: Offer, on_change: Callable[[], None]) -> None:
        """Call back when an MCP server says that its tools have changed."""
        if not offer.mcp_url:
            return
        try:
            headers = await self._headers(offer)
        except (OutsideError, ApiError, TransientError):
            return
        mcp = await asyncio.to_thread(_mcp_client)
        egress = Egress(self._policy, offer.internal)
        await mcp.follow_mcp_tools(
            offer.mcp_url, headers=headers, egress=egress, on_change=on_change
        )

    async def _list(self, offer: Offer) -> Listing:
        egress = Egress(self._policy, offer.internal)
        headers = await self._headers(offer)
        if offer.mcp_url:
            mcp = await asyncio.to_thread(_mcp_client)
            listing: Listing = await mcp.list_mcp_tools(
                offer.mcp_url, headers=headers, egress=egress, timeout_s=offer.timeout_s
            )
            return listing
        text = await self._document(offer, headers, egress)
        parser = await asyncio.to_thread(_openapi_parser)
        where = {"url": offer.document_url, "server_url": offer.server_url}
        parsed: Listing = await asyncio.to_thread(parser.list_openapi_tools, text, **where)
        return parsed

    async def _headers(self, offer: Offer) -> dict[str, str]:
        sent = offer.credential
        if sent is None:
            return {}
        where = f"spec.auth.secretKeyRef: Secret {sent.secret.name}"
        try:
            secret = await self._kube.get(SECRET, offer.namespace, sent.secret.name)
        except ApiError as error:
            if error.status != 403:
                raise
            told = f"{where} may not be read; add {offer.namespace} to tools.secretNamespaces"
            raise OutsideError("SecretForbidden", f"{told} of the chart") from error
        coded = ((secret or {}).get("data") or {}).get(sent.secret.key)
        if coded is None:
            raise OutsideError("SecretNotFound", f"{where} has no key {sent.secret.key}; make it")
        try:
            value = base64.b64decode(coded).decode("ascii").strip()
        except ValueError:
            value = ""
        if not value or not value.isprintable():
            raise OutsideError("SecretUnusable", f"{where} holds no single line of ASCII text")
        return {sent.header: f"{sent.scheme} {value}".strip()}

    async def _document(self, offer: Offer, headers: dict[str, str], egress: Egress) -> bytes:
        if offer.document:
            where = f"spec.openApi.configMapKeyRef: ConfigMap {offer.document.name}"
            found = await self._kube.get(CONFIG_MAP, offer.namespace, offer.document.name) or {}
            text = (found.get("data") or {}).get(offer.document.key)
            if text is None:
                told = f"{where} has no key {offer.document.key}; make it"
                raise OutsideError("DocumentNotFound", told)
            return str(text).encode()
        answer = await request(
            "GET",
            offer.document_url,
            egress=egress,
            timeout_s=offer.timeout_s,
            limit_bytes=DOCUMENT_BYTES,
            headers=headers,
        )
        if answer.location:
            told = f"{offer.document_url}: redirects to {answer.location[:200]}; name that instead"
            raise OutsideError("Redirected", told)
        if answer.status != 200:
            reason = "Unauthorized" if answer.status in (401, 403) else "BadAnswer"
            told = f"{offer.document_url}: answers {answer.status} instead of a document"
            raise OutsideError(reason, told)
        return answer.body


def _mcp_client() -> ModuleType:
    from flagscale_operator.outside import mcp_tools

    return mcp_tools


def _openapi_parser() -> ModuleType:
    from flagscale_operator.outside import openapi_tools

    return openapi_tools
