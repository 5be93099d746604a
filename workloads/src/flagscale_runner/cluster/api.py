"""The operator's client with two more verbs that a user needs: a merge patch, and logs."""

from collections.abc import AsyncIterator
from typing import Final

import aiohttp

from flagscale_operator.errors import ApiError, TransientError
from flagscale_operator.kube.client import Manifest
from flagscale_operator.kube.http import JSON, MERGE, KubeHttp
from flagscale_operator.kube.kinds import POD, SERVICE, KubeKind
from flagscale_runner.talk.answer import refusal

_VERSION: Final = KubeKind("", "", "Version", "version", namespaced=False)
LINE_LIMIT: Final = 1 << 20
"""A longer line of a log is given in parts."""

_UNLIMITED: Final = aiohttp.ClientTimeout(total=None, sock_connect=30)


class ClusterApi(KubeHttp):
    """Made by `open`, closed by `close`."""

    async def merge(self, kind: KubeKind, namespace: str, name: str, body: Manifest) -> Manifest:
        """A JSON merge patch; raises ApiError or TransientError."""
        params = {"fieldManager": self._field_manager}
        path = kind.path(namespace, name)
        return await self._send("patch", "PATCH", kind, path, body=body, params=params,
                                content_type=MERGE)  # fmt: skip

    async def version(self) -> str:
        """Version of the server, as v1.34.4; raises ApiError or TransientError."""
        answer = await self._send("get", "GET", _VERSION, "/version")
        return str(answer.get("gitVersion", "an unknown version"))

    async def serves(self, kind: KubeKind) -> bool:
        """Whether the server knows a kind; raises ApiError or TransientError."""
        path = kind.path().removesuffix(f"/{kind.plural}")
        try:
            answer = await self._send("get", "GET", kind, path)
        except ApiError as error:
            if error.not_found:
                return False
            raise
        return any(entry["name"] == kind.plural for entry in answer.get("resources") or ())

    async def log_lines(
        self, namespace: str, pod: str, container: str, *, follow: bool
    ) -> AsyncIterator[str]:
        """Lines of a container's log as they come; none while it has not started."""
        url = f"{self._connection.server}{POD.path(namespace, pod)}/log"
        params = {"container": container, "follow": str(follow).lower()}
        try:
            async with self._session.get(
                url,
                params=params,
                headers=self._headers(JSON),
                timeout=_UNLIMITED,
            ) as response:
                if response.status in (400, 404):
                    return
                if response.status >= 400:
                    text = await response.text()
                    raise ApiError(response.status, response.reason or "", text, "get", "logs")
                async for line in _lines(response.content):
                    yield line
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise TransientError(f"log of {pod}: broke off ({error!r})") from error

    async def answer_lines(
        self, namespace: str, service: str, path: str, body: Manifest
    ) -> AsyncIterator[str]:
        """Lines that a Service answers to a POST; raises RunnerError when it refuses."""
        url = (
            f"{self._connection.server}{SERVICE.path(namespace, f'http:{service}:80')}/proxy{path}"
        )
        try:
            async with self._session.post(
                url, json=body, headers=self._headers(JSON), timeout=_UNLIMITED
            ) as response:
                if response.status >= 400:
                    raise refusal(response.status, await response.text())
                async for line in _lines(response.content):
                    yield line.rstrip("\r")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise TransientError(f"service {service}: broke off ({error!r})") from error


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[str]:
    rest = b""
    async for part in content.iter_any():
        *whole, rest = (rest + part).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace")
        if len(rest) > LINE_LIMIT:
            yield rest.decode(errors="replace")
            rest = b""
    if rest:
        yield rest.decode(errors="replace")
