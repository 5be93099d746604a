"""The Kubernetes API over aiohttp: one session, pooled connections, errors with a class.

A generated client would bring 1,600 model classes for the seven verbs that are used here, and most
of the memory of an idle operator; our models are our own, and bodies stay plain dictionaries.
"""

import asyncio
import copy
import time
from collections.abc import Callable
from typing import Any, Self

import aiohttp
import orjson

from flagscale_operator.errors import ApiError, TransientError
from flagscale_operator.kube.budget import RequestBudget
from flagscale_operator.kube.client import Manifest
from flagscale_operator.kube.connection import Connection
from flagscale_operator.kube.kinds import KubeKind

OnRequest = Callable[[str, str, str, float], None]
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
JSON = "application/json"
TIMEOUT_S = 30
POOL = 64
PAGE = "500"
TOKEN_TTL_S = 60.0


class KubeHttp:
    """Implements `Kube`; made by `open`, closed by `close`."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        connection: Connection,
        *,
        field_manager: str,
        budget: RequestBudget,
        on_request: OnRequest,
    ) -> None:
        self._session = session
        self._connection = connection
        self._field_manager = field_manager
        self._budget = budget
        self._on_request = on_request
        # Waiting here, and not for a pooled connection, does not count against the timeout.
        self._turns = asyncio.Semaphore(POOL)
        self._token: str | None = None
        self._token_read_at = float("-inf")

    def managing_as(self, field_manager: str) -> Self:
        """The same connection, budget and pool, writing under another field manager's name."""
        other = copy.copy(self)
        other._field_manager = field_manager
        return other

    @classmethod
    def open(
        cls,
        connection: Connection,
        *,
        field_manager: str,
        budget: RequestBudget,
        on_request: OnRequest,
    ) -> Self:
        """A client within the running event loop."""
        connector = aiohttp.TCPConnector(ssl=connection.ssl_context(), limit=POOL)
        session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            headers={"Accept": JSON, "User-Agent": "flagscale-operator"},
        )
        return cls(
            session, connection, field_manager=field_manager, budget=budget, on_request=on_request
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def get(self, kind: KubeKind, namespace: str | None, name: str) -> Manifest | None:
        """See `Kube.get`."""
        try:
            return await self._send("get", "GET", kind, kind.path(namespace, name))
        except ApiError as error:
            if error.not_found and error.reason == "NotFound":
                return None
            raise

    async def list(
        self, kind: KubeKind, namespace: str | None = None, *, label_selector: str = ""
    ) -> list[Manifest]:
        """See `Kube.list`; paged, so a large collection is no single large answer."""
        params = {"limit": PAGE}
        if label_selector:
            params["labelSelector"] = label_selector
        items: list[Manifest] = []
        while True:
            page = await self._send("list", "GET", kind, kind.path(namespace), params=params)
            items.extend(page["items"])
            following = page["metadata"].get("continue")
            if not following:
                return items
            params["continue"] = following

    async def apply(self, kind: KubeKind, manifest: Manifest, *, force: bool) -> Manifest:
        """See `Kube.apply`."""
        return await self._apply(kind, manifest, force=force, subresource="")

    async def apply_status(self, kind: KubeKind, manifest: Manifest) -> Manifest:
        """See `Kube.apply_status`."""
        return await self._apply(kind, manifest, force=True, subresource="/status")

    async def _apply(
        self, kind: KubeKind, manifest: Manifest, *, force: bool, subresource: str
    ) -> Manifest:
        metadata = manifest["metadata"]
        path = kind.path(metadata.get("namespace"), metadata["name"]) + subresource
        params = {"fieldManager": self._field_manager, "force": str(force).lower()}
        return await self._send(
            "patch", "PATCH", kind, path, body=manifest, params=params, content_type=APPLY
        )

    async def scale(
        self, kind: KubeKind, namespace: str, name: str, replicas: int, *, version: str | None
    ) -> None:
        """See `Kube.scale`."""
        path = kind.path(namespace, name) + "/scale"
        body: Manifest = {"spec": {"replicas": replicas}}
        if version:
            body["metadata"] = {"resourceVersion": version}
        params = {"fieldManager": self._field_manager}
        await self._send("patch", "PATCH", kind, path, body=body, params=params, content_type=MERGE)

    async def create(self, kind: KubeKind, manifest: Manifest) -> Manifest:
        """See `Kube.create`."""
        path = kind.path(manifest["metadata"].get("namespace"))
        params = {"fieldManager": self._field_manager}
        return await self._send("create", "POST", kind, path, body=manifest, params=params)

    async def replace(self, kind: KubeKind, manifest: Manifest) -> Manifest:
        """See `Kube.replace`."""
        metadata = manifest["metadata"]
        path = kind.path(metadata.get("namespace"), metadata["name"])
        params = {"fieldManager": self._field_manager}
        return await self._send("update", "PUT", kind, path, body=manifest, params=params)

    async def delete(
        self, kind: KubeKind, namespace: str | None, name: str, *, uid: str | None = None
    ) -> bool:
        """See `Kube.delete`."""
        options: Manifest = {"propagationPolicy": "Background"}
        if uid:
            options["preconditions"] = {"uid": uid}
        path = kind.path(namespace, name)
        try:
            await self._send("delete", "DELETE", kind, path, body=options)
        except ApiError as error:
            if error.not_found or error.conflict:
                return False
            raise
        return True

    async def _send(
        self,
        verb: str,
        method: str,
        kind: KubeKind,
        path: str,
        *,
        body: Manifest | None = None,
        params: dict[str, str] | None = None,
        content_type: str = JSON,
    ) -> Manifest:
        await self._budget.take()
        async with self._turns:
            response, text = await self._exchange(
                verb,
                method,
                kind,
                path,
                params=params,
                data=None if body is None else orjson.dumps(body),
                content_type=content_type,
            )
        if response.status >= 400:
            raise _refusal(response, text, verb=verb, resource=kind.plural)
        answer = _object(text)
        if answer is None:
            msg = f"{verb} {kind.plural}: the answer is no JSON object, got {text[:80]!r}"
            raise TransientError(msg)
        return answer

    async def _exchange(
        self,
        verb: str,
        method: str,
        kind: KubeKind,
        path: str,
        *,
        params: dict[str, str] | None,
        data: bytes | None,
        content_type: str,
    ) -> tuple[aiohttp.ClientResponse, bytes]:
        started, code = time.perf_counter(), "error"
        try:
            async with self._session.request(
                method,
                self._connection.server + path,
                params=params,
                data=data,
                headers=self._headers(content_type),
            ) as response:
                code = str(response.status)
                return response, await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            msg = f"{verb} {kind.plural}: the API server did not answer ({error!r})"
            raise TransientError(msg) from error
        finally:
            self._on_request(verb, kind.plural, code, time.perf_counter() - started)

    def _headers(self, content_type: str) -> dict[str, str]:
        now = time.monotonic()
        if now >= self._token_read_at + TOKEN_TTL_S:
            self._token, self._token_read_at = self._connection.bearer(), now
        token = self._token
        headers = {"Content-Type": content_type}
        return {**headers, "Authorization": f"Bearer {token}"} if token else headers


def _refusal(
    response: aiohttp.ClientResponse, text: bytes, *, verb: str, resource: str
) -> ApiError | TransientError:
    """The error class of a refused request; the server's Status tells more where there is one."""
    # A proxy in between may answer anything, even something that merely begins like JSON.
    status = _object(text) or {}
    message = status.get("message") or text[:300].decode(errors="replace")
    retry_after_s = _seconds(response.headers.get("Retry-After"))
    # 410: the pages of a list are of a version that is gone, so the list begins anew.
    if response.status in (410, 429) or response.status >= 500:
        return TransientError(f"{verb} {resource}: {response.status} {message}", retry_after_s)
    details = status.get("details") or {}
    # A missing kind answers 404 without the name of an object.
    reason = status.get("reason", "") if details.get("name") else "KindNotFound"
    return ApiError(
        status=response.status,
        reason=reason if response.status == 404 else status.get("reason", ""),
        message=message,
        verb=verb,
        resource=resource,
        retry_after_s=retry_after_s,
        causes=tuple(
            f"{c.get('field', '')}: {c.get('message', '')}" for c in details.get("causes") or ()
        ),
    )


def _object(text: bytes) -> dict[str, Any] | None:
    try:
        value = orjson.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isdigit() else None
