"""The Kubernetes API as a pod's service account sees it.

A generated client would be larger than all else in the image, for a handful of verbs.
"""

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Final

import httpx2

Body = dict[str, Any]
SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TIMEOUT_S: Final = 10.0
WATCH_S: Final = 300
"""How long the server keeps a watch; then it is resumed where it ended."""
SILENCE_S: Final = WATCH_S + 30.0
PAGE: Final = 500
TOKEN_TTL_S: Final = 60.0


class KubeError(Exception):
    """The API server refused, or did not answer (status 0)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class NoClusterError(Exception):
    """There is no service account here."""


@dataclass(frozen=True, slots=True)
class Account:
    """Where the API server is, and the folder with `ca.crt` and `token`."""

    server: str
    folder: Path

    @classmethod
    def of_pod(cls, environ: Mapping[str, str], folder: Path = SERVICE_ACCOUNT) -> "Account":
        """As every pod has it. Raises NoClusterError."""
        host = environ.get("KUBERNETES_SERVICE_HOST")
        if not host or not (folder / "token").exists():
            msg = f"service account: none here, got {folder}; run in a pod, or give --tools"
            raise NoClusterError(msg)
        shown = f"[{host}]" if ":" in host else host
        return cls(f"https://{shown}:{environ.get('KUBERNETES_SERVICE_PORT', '443')}", folder)

    def trust(self) -> ssl.SSLContext:
        """TLS that trusts the cluster's authority alone."""
        context = ssl.create_default_context(cafile=self.folder / "ca.crt")
        # Python 3.13 refuses certificates without key identifiers, which many clusters have and
        # client-go takes.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context


class KubeApi:
    """One client; close it with `aclose`. Every method raises KubeError."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._http = httpx2.AsyncClient(
            base_url=account.server, verify=account.trust(), timeout=TIMEOUT_S, trust_env=False
        )
        self._token, self._read_at = "", float("-inf")

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> Body:
        """One object, or a page of a collection."""
        return await self._send("GET", path, params=params)

    async def create(self, path: str, body: Body) -> Body:
        """Post an object; the answer."""
        return await self._send("POST", path, json=body)

    async def apply(self, path: str, body: Body, *, manager: str) -> Body:
        """Server-side apply; the answer."""
        return await self._send(
            "PATCH",
            path,
            params={"fieldManager": manager, "force": "true"},
            content=json.dumps(body),
            headers={"Content-Type": "application/apply-patch+yaml"},
        )

    async def merge(self, path: str, change: Body, *, manager: str) -> Body:
        """Merge patch: null takes a field away; the answer."""
        return await self._send(
            "PATCH",
            path,
            params={"fieldManager": manager},
            content=json.dumps(change),
            headers={"Content-Type": "application/merge-patch+json"},
        )

    async def list(self, path: str) -> tuple[list[Body], str]:
        """All objects of a collection, page by page, and the version to watch from."""
        items: list[Body] = []
        params = {"limit": str(PAGE)}
        while True:
            page = await self.get(path, params)
            items += page.get("items") or []
            metadata = page.get("metadata") or {}
            if not metadata.get("continue"):
                return items, str(metadata.get("resourceVersion", ""))
            params["continue"] = metadata["continue"]

    async def watch(self, path: str, version: str) -> AsyncIterator[Body]:
        """Events after that version, until the server ends the watch."""
        params = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(WATCH_S),
        }
        timeout = httpx2.Timeout(TIMEOUT_S, read=SILENCE_S)
        try:
            async with self._http.stream(
                "GET", path, params=params, headers=self._headers(), timeout=timeout
            ) as response:
                if response.is_error:
                    raise _refusal(path, response.status_code, await response.aread())
                async for line in response.aiter_lines():
                    if line:
                        yield json.loads(line)
        except (httpx2.HTTPError, ValueError) as error:
            raise KubeError(0, f"{path}: watch ended ({error!r})") from error

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def _send(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **request: Any
    ) -> Body:
        own = {**(headers or {}), **self._headers()}
        try:
            response = await self._http.request(method, path, headers=own, **request)
            if response.is_error:
                raise _refusal(path, response.status_code, response.content)
            body: Body = response.json()
        except (httpx2.HTTPError, ValueError) as error:
            raise KubeError(0, f"{path}: the API server did not answer ({error!r})") from error
        return body

    def _headers(self) -> dict[str, str]:
        # The kubelet replaces the token before it ends.
        if monotonic() >= self._read_at + TOKEN_TTL_S:
            self._token = (self._account.folder / "token").read_text().strip()
            self._read_at = monotonic()
        return {"Authorization": f"Bearer {self._token}"}


def _refusal(path: str, status: int, body: bytes) -> KubeError:
    try:
        message = str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        message = body[:200].decode(errors="replace")
    return KubeError(status, f"{path}: {message}")
