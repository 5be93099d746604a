"""The bare asyncio client that the operator is measured against."""

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from support.kube_access import client_ssl

Manifest = dict[str, Any]


class ApiClient:
    """A session and nothing else: no queue, no view, no retry."""

    def __init__(self, session: aiohttp.ClientSession, server: str) -> None:
        self._session = session
        self._server = server

    @classmethod
    @asynccontextmanager
    async def connect(cls, kubeconfig: Path) -> "AsyncIterator[ApiClient]":
        """A client with the administrator's certificate."""
        config = yaml.safe_load(kubeconfig.read_text())
        context: ssl.SSLContext = client_ssl(config)
        connector = aiohttp.TCPConnector(ssl=context, limit=64)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            yield cls(session, config["clusters"][0]["cluster"]["server"])

    async def _send(
        self, method: str, path: str, body: Manifest | None, content_type: str, **params: str
    ) -> Manifest:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": content_type}
        async with self._session.request(
            method, self._server + path, data=data, headers=headers, params=params
        ) as response:
            text = await response.text()
            if response.status >= 400:
                msg = f"{method} {path}: {response.status} {text[:300]}"
                raise RuntimeError(msg)
            answer: Manifest = json.loads(text)
            return answer

    async def apply(self, path: str, body: Manifest) -> Manifest:
        """Server-side apply."""
        return await self._send(
            "PATCH", path, body, "application/apply-patch+yaml", fieldManager="bare", force="true"
        )

    async def create(self, path: str, body: Manifest) -> Manifest:
        """A new object of a collection."""
        return await self._send("POST", path, body, "application/json")

    async def delete_all(self, path: str) -> None:
        """All objects of a collection, without waiting for their dependents."""
        await self._send("DELETE", path, None, "application/json")

    async def merge_patch(self, path: str, body: Manifest) -> Manifest:
        """A JSON merge patch, as `kubectl patch --type=merge`."""
        return await self._send("PATCH", path, body, "application/merge-patch+json")

    async def create_namespace(self, name: str) -> None:
        """Make a namespace."""
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        await self.create("/api/v1/namespaces", body)

    async def list(self, path: str) -> list[Manifest]:
        """All objects of a collection."""
        answer = await self._send("GET", path, None, "application/json")
        items: list[Manifest] = answer["items"]
        return items

    async def watch(self, path: str, *, only_new: bool = False) -> AsyncIterator[Manifest]:
        """Events of a collection, beginning with what exists unless `only_new`."""
        params = {"watch": "true"}
        if only_new:
            listed = await self._send("GET", path, None, "application/json", limit="1")
            params["resourceVersion"] = listed["metadata"]["resourceVersion"]
        url = self._server + path
        async with self._session.get(url, params=params) as response:
            response.raise_for_status()
            buffer = b""
            async for chunk in response.content.iter_any():
                buffer += chunk
                *lines, buffer = buffer.split(b"\n")
                for line in lines:
                    yield json.loads(line)
