"""Credentials of tools: read when a call needs them, from the tool's own namespace."""

import base64
import binascii
from collections.abc import Callable
from typing import Final, Protocol

from flagscale_api.v1alpha1.common import SecretKeyRef
from flagscale_workloads.agent.service.errors import ServiceError
from flagscale_workloads.agent.service.expiring import Expiring
from flagscale_workloads.agent.service.kube.api import KubeApi, KubeError

TTL_S: Final = 30.0
CAPACITY: Final = 1000
FORBIDDEN: Final = 403


class Secrets(Protocol):
    """Gives the value of a key."""

    async def value(self, namespace: str, reference: SecretKeyRef) -> str:
        """Raises ServiceError 502."""


class NoSecrets:
    """Without a cluster."""

    async def value(self, namespace: str, reference: SecretKeyRef) -> str:
        """There is none."""
        raise _problem(f"Secret {reference.name} needs a cluster; call the tool there")


class KubeSecrets:
    """By the API; the service may read Secrets only where the chart was told so."""

    def __init__(self, api: KubeApi, *, clock: Callable[[], float]) -> None:
        self._api = api
        self._known: Expiring[tuple[str, str, str], str] = Expiring(
            ttl_s=TTL_S, capacity=CAPACITY, clock=clock
        )

    async def value(self, namespace: str, reference: SecretKeyRef) -> str:
        """See `Secrets.value`."""
        where = (namespace, reference.name, reference.key)
        known = self._known.get(where)
        if known is None:
            known = await self._read(namespace, reference)
            self._known.put(where, known)
        return known

    async def _read(self, namespace: str, reference: SecretKeyRef) -> str:
        path = f"/api/v1/namespaces/{namespace}/secrets/{reference.name}"
        try:
            body = await self._api.get(path)
        except KubeError as error:
            if error.status == FORBIDDEN:
                why = f"may not be read; add {namespace} to the chart's tools.secretNamespaces"
            else:
                why = f"can't be read (status {error.status}); look whether it exists"
            raise _problem(f"Secret {namespace}/{reference.name} {why}") from error
        try:
            text = base64.b64decode((body.get("data") or {})[reference.key]).decode().strip()
        except (KeyError, ValueError, binascii.Error) as error:
            what = f"Secret {namespace}/{reference.name} has no text at key {reference.key}"
            raise _problem(f"{what}; correct it") from error
        return text


def _problem(what: str) -> ServiceError:
    return ServiceError(502, "no_credential", f"tool: its credential: {what}")
